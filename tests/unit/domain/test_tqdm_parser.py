"""Progress bars in log text, parsed as the official clients do."""

import pytest

from halley.predictions.records import Step
from halley.predictions.tqdm_parser import TqdmParser, last_step

HALF = Step(fraction=0.5, current=4, total=8)


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("76%|████████████████████████████         | 7568/10000 [00:33<00:10, 229.00it/s]", (0.76, 7568, 10000)),
        (" 50%|#####     | 4/8", (0.5, 4, 8)),
        ("  0%|          | 0/8", (0.0, 0, 8)),
        ("Sampling:  50%|#####     | 4/8 [00:01<00:01]", (0.5, 4, 8)),
        ("first line\n 25%|##        | 2/8\n 50%|#####     | 4/8\nlast line\n", (0.5, 4, 8)),
        ("  0%|          | 0/8\r 50%|#####     | 4/8 [00:01<00:01]\r100%|##########| 8/8 [00:02]\n", (1.0, 8, 8)),
        ("outer: 10%|#   | 1/10\n\x1b[Ainner: 100%|####| 3/3\r", (1.0, 3, 3)),
        ("120%|############| 12/10", (1.0, 12, 10)),
    ],
)
def test_the_last_bar_counts(text: str, step: tuple[float, int, int]) -> None:
    assert last_step(text) == Step(fraction=step[0], current=step[1], total=step[2])


@pytest.mark.parametrize(
    "text",
    ["", "4/8 done", "50% of 4/8", "at 50%|#####| 4/8", "50%|##\n| 4/8", "x50%|##| 4/8", "%|##| 4/8", "50%|##| a/8"],
)
def test_other_text_is_no_bar(text: str) -> None:
    assert last_step(text) is None


def test_the_official_python_pattern_agrees_on_whole_lines() -> None:
    import re

    official = re.compile(r"^\s*(?P<percentage>\d+)%\s*\|.+?\|\s*(?P<current>\d+)\/(?P<total>\d+)")
    for line in (" 50%|###  | 4/8", "  0%|    | 0/8 [00:00<?, ?it/s]", "\t7% |#  | 7/100", "4/8 done", "50%|4/8"):
        match, step = official.match(line), last_step(line)
        theirs = match and tuple(map(int, match.groups()))
        assert theirs == (step and (round(step.fraction * 100), step.current, step.total))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_pieces_of_any_size_tell_no_false_number(size: int) -> None:
    text = "".join(f"\r{n:4d}%|##########| {n}/100 [00:00<00:01]" for n in range(101)) + "\n"
    bars, seen = TqdmParser(), []
    for start in range(0, len(text), size):
        step = bars.read(text[start : start + size])
        if step is not None and step not in seen:
            seen.append(step)
    assert all(step.total == 100 and step.fraction == step.current / 100 for step in seen)
    assert [step.current for step in seen] == sorted(step.current for step in seen)
    assert seen[-1].current == 100


def test_a_number_at_the_end_counts_once_it_is_whole() -> None:
    bars = TqdmParser()
    assert bars.read(" 50%|#####     | 4/8") is None
    assert bars.read("0\n") == Step(fraction=0.5, current=4, total=80)
    assert bars.read(" 50%|#####     | 4/8") is None
    assert bars.rest() == HALF
    assert bars.rest() is None


def test_a_line_without_end_is_not_kept_whole() -> None:
    bars = TqdmParser()
    for _ in range(100):
        bars.read("x" * 10_000)
    assert len(bars._line) <= 500
