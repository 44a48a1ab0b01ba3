"""Reads the answers of a service at the places that its job file names. An answer may be any JSON, or none."""

import math
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from halley.providers.http_job.job import AnswerForm, Job, Match, word_of
from halley.providers.http_job.pointers import Places, first_of
from halley.providers.services.answers import error_text
from halley.providers.services.run_snapshot import RunSnapshot
from halley.providers.services.verdicts import SubmitAnswer, SubmitVerdict

_ID: Final = re.compile(r"(?!\.{1,2}$)[\x21-\x7e]{1,200}")
_ERROR_CHARS: Final = 10_000
_NUMBER: Final = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,12})?)\s*(%?)\s*", re.ASCII)
_MEANINGS: Final[Mapping[str, SubmitVerdict]] = {
    "refused": SubmitVerdict.REFUSED,
    "busy": SubmitVerdict.BUSY,
    "unknown": SubmitVerdict.UNKNOWN,
}


class JobSnapshot(RunSnapshot, frozen=True, kw_only=True):
    """What one answer to a poll shows. `progress` is from 0 to 1; `unknown` is the status word, if the job file does
    not have it.
    """

    progress: float | None = None
    unknown: str | None = None


def is_id(text: str) -> bool:
    """Whether a run can have this id: printable ASCII without spaces."""
    return _ID.fullmatch(text) is not None


def id_at(places: Places, value: Any) -> str:
    """The id in an answer: a text or a whole number; "" if there is none, or it cannot be an id."""
    found = first_of(places, value)
    if isinstance(found, bool) or not isinstance(found, str | int):
        return ""
    return str(found) if is_id(str(found)) else ""


def matches(match: Match, value: Any) -> bool:
    """Whether the answer matches: it has one of the words at the place."""
    found = first_of(match.at, value)
    return found is not None if match.words is None else word_of(found) in match.words


def read_create(job: Job, status: int, value: Any) -> SubmitAnswer:
    """The verdict on a complete answer to a create. Without a rule in the file, only a 4xx answer except 408 proves
    that nothing was begun: docs/why/providers.md.
    """
    handle = id_at(job.create_id, value)
    if 200 <= status < 300 and handle:
        return SubmitAnswer(verdict=SubmitVerdict.SUBMITTED, handle=handle, status=status)
    text = f"It answered {status}: {_said(job.answer, value) or 'without a reason that can be read'}"
    return SubmitAnswer(verdict=_verdict(job, status, value), text=text, status=status)


def _verdict(job: Job, status: int, value: Any) -> SubmitVerdict:
    for rule in job.verdicts:
        fits = rule.statuses is None or status in rule.statuses
        if fits and (rule.match is None or matches(rule.match, value)):
            return _MEANINGS[rule.means]
    if 400 <= status < 500 and status != 408:
        return SubmitVerdict.BUSY if status == 429 else SubmitVerdict.REFUSED
    return SubmitVerdict.UNKNOWN


def read_state(form: AnswerForm, value: Any, handle: str) -> JobSnapshot | str:
    """The state of a run; or a sentence that says why the answer does not show it."""
    if value is None:
        return "Its answer to a poll is no JSON."
    if form.id and (other := id_at(form.id, value)) and other != handle:
        return f"It answered with another run than {handle}."
    shown = first_of(form.status, value)
    word = word_of(shown)
    if word is None:
        return "Its answer to a poll has no status where the job file says."
    state = form.words.get(word)
    return JobSnapshot(
        state=state or "open",
        output=_worth(first_of(form.output, value)),
        logs=_text(first_of(form.logs, value)),
        error=_said(form, value) or None,
        metrics={
            name: number for name, at in form.metrics.items() if (number := _metric(first_of(at, value))) is not None
        },
        progress=_progress(first_of(form.progress, value), form.progress_full),
        unknown=None if word in form.words else _shown(shown),
    )


def _said(form: AnswerForm, value: Any) -> str:
    """The error message in an answer; "" if there is none. It becomes one line later, after tokens are removed."""
    found = first_of(form.error, value)
    if isinstance(found, dict):
        return error_text(found) or _shown(found)
    if found:
        return _shown(found)
    return error_text(value) if isinstance(value, dict) else ""


def _shown(value: Any) -> str:
    return (value if isinstance(value, str) else msgspec.json.encode(value).decode())[:_ERROR_CHARS]


def _worth(output: Any) -> Any:
    """The output; None if it is empty, because then it may still appear."""
    return None if output in ("", [], {}) else output


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "".join(f"{line}\n" for line in value if isinstance(line, str))
    return value if isinstance(value, str) else ""


def _metric(value: Any) -> Any:
    """A number (also as a text), a boolean or a text; None for anything else."""
    if isinstance(value, str):
        found = _NUMBER.fullmatch(value)
        return float(found[1]) if found else value[:_ERROR_CHARS]
    return value if isinstance(value, int | float) else None


def _progress(value: Any, full: float) -> float | None:
    if isinstance(value, str):
        found = _NUMBER.fullmatch(value)
        if found is None:
            return None
        value, full = float(found[1]), 100.0 if found[2] else full
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    shown = min(max(value, 0), full)  # before it is divided: an integer may be too large for a float
    return shown / full if math.isfinite(shown) else None
