"""What a run at a Cog server said is kept for later followers, in few pieces."""

from collections.abc import Iterable

import pytest

from halley.dispatch.ports import LogText, MetricValue, Progress
from halley.providers.cog import reported_progress
from halley.providers.cog.reported_progress import ReportedProgress


def text_of(parts: Iterable[Progress]) -> str:
    return "".join(part.text for part in parts if isinstance(part, LogText))


def test_many_short_lines_are_kept_in_few_pieces_and_read_whole_by_each_follower() -> None:
    kept = ReportedProgress()
    first, found = kept.reader(), []
    for number in range(10_000):
        kept.add(LogText(f"line {number}\n"))
        if number % 3 == 0:
            found += first()
    kept.add(MetricValue(name="a", value=1))
    kept.add(LogText("end"))
    found += first()
    assert len(kept.kept) < 50
    later = list(kept.reader()())
    whole = "".join(f"line {number}\n" for number in range(10_000)) + "end"
    assert text_of(found) == text_of(later) == whole
    for parts in (found, later):
        assert isinstance(parts[-2], MetricValue)
    assert list(first()) == []


def test_text_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reported_progress, "MOST_LOG_CHARS", 100)
    kept = ReportedProgress()
    for _ in range(1000):
        kept.add(LogText("0123456789"))
    assert len(text_of(kept.reader()())) <= 110
