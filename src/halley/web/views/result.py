"""What a page shows of a prediction's run: output, error, progress, the end of the log, times and metrics."""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from halley.web.views.causes import CAUSES, Cause
from halley.web.views.durations import in_words, seconds_between
from halley.web.views.files import ListedFile
from halley.web.views.outputs import ShownOutput, shown_output
from halley.web.views.run import ShownRun
from halley.web.views.tables import Table, table_of
from halley.web.views.texts import decode_small, first_bytes, plain_log, pretty

FILES: Final = 60  # shown with the output
_LOG_LINES: Final = 40
_LOG_CHARACTERS: Final = 16_000
_READ_CHARACTERS: Final = 100_000  # of the end of a log: enough for those lines
_METRICS: Final = 40
_BAR: Final = re.compile(r"(?:^|[\r\n]|:)\s*(\d{1,3})%\s*\|[^|\r\n]*\|", re.ASCII)
_SENTENCES: Final = {
    "starting": "Waiting to run",
    "processing": "Running",
    "succeeded": "Succeeded",
    "failed": "Failed",
    "canceled": "Canceled",
    "aborted": "Ended before it ran",
}


class LogTail(msgspec.Struct, frozen=True, kw_only=True):
    """The last lines of a log; `is_whole` if there are no others."""

    text: str
    is_whole: bool


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction as its region of a page shows it."""

    run: ShownRun
    files: Sequence[ListedFile]
    has_more_files: bool
    output: ShownOutput
    table: Table | None
    log: LogTail
    percent: int | None  # of a progress bar in the log, while it runs
    cause: Cause | None
    waited: str
    ran: str
    metrics: tuple[tuple[str, str], ...]

    @property
    def sentence(self) -> str:
        """Its state in words."""
        return _SENTENCES.get(self.run.status, self.run.status)

    @property
    def has_output(self) -> bool:
        return bool(self.files) or self.output.text is not None or self.output.json is not None


def result_of(
    run: ShownRun, files: Sequence[ListedFile], *, has_more_files: bool = False, is_joined: bool = True
) -> Result:
    """The run, with the first files of its output. `is_joined` is that of `shown_output`."""
    text = "" if run.data_removed else run.logs[-_READ_CHARACTERS:]
    return Result(
        run=run,
        files=files,
        has_more_files=has_more_files,
        output=_shown(run, has_files=bool(files), is_joined=is_joined),
        table=table_of(decode_small(run.output)),
        log=_tail(text, is_whole=len(text) == len(run.logs)),
        percent=None if run.has_ended else percent_in(text),
        cause=CAUSES.get(run.termination_reason or "") if run.has_ended else None,
        waited=in_words(seconds_between(run.created_at, run.started_at)),
        ran=in_words(seconds_between(run.started_at, run.completed_at)),
        metrics=tuple((name, _metric(value)) for name, value in list(run.metrics.items())[:_METRICS]),
    )


def _shown(run: ShownRun, *, has_files: bool, is_joined: bool) -> ShownOutput:
    if has_files and _is_list_of_links(run.output):
        return ShownOutput()
    found = shown_output(run.output, is_joined=is_joined)
    if found == ShownOutput() and not has_files and run.has_output:
        return ShownOutput(json=pretty(run.output))  # it only looks like a link to a file of ours
    return found


def _is_list_of_links(output: msgspec.Raw) -> bool:
    """Whether it is a list too long to be decoded, which begins with a link: with files, it is a list of them."""
    return first_bytes(output, 8).startswith((b'["http:', b'["https:')) and decode_small(output) is None


def _tail(log: str, *, is_whole: bool) -> LogTail:
    plain = plain_log(log).rstrip("\n")
    lines = plain.split("\n")
    text = "\n".join(lines[-_LOG_LINES:])[-_LOG_CHARACTERS:]
    return LogTail(text=text, is_whole=is_whole and len(text) == len(plain))


def percent_in(log: str) -> int | None:
    """Where the last progress bar of a log stands; None without one."""
    found = _BAR.findall(log)
    return min(100, int(found[-1])) if found else None


def _metric(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 200 else f"{text[:200]}…"
