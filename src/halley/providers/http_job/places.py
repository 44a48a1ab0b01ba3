"""Reads the tables of a job file that say where values are in answers, and what they mean."""

import re
from collections.abc import Mapping
from typing import Final

from halley.providers.http_job.faults import JobFileError
from halley.providers.http_job.job import AnswerForm, End, Match, VerdictRule, word_of
from halley.providers.http_job.pointers import Places, Steps, ValuePlace, parse_pointer
from halley.providers.http_job.tables import (
    AnswerTable,
    MatchTable,
    PlaceForm,
    PlaceTable,
    StatusTable,
    VerdictTable,
    Word,
)

MOST_PLACES: Final = 10
_MEDIA_TYPE: Final = re.compile(r"[a-z]{1,20}/[a-z0-9.+-]{1,60}")
_OWN_METRICS: Final = frozenset({"predict_time", "total_time"})
_LISTS: Final[Mapping[str, End | None]] = {
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "canceled",
    "running": None,
}


def places_of(form: PlaceForm | None, place: str) -> Places:
    """The places of a member; () if it is not there.

    Raises:
        JobFileError: one of them is no pointer.
    """
    if form is None:
        return ()
    if not isinstance(form, list):
        return (_place(form, place),)
    if not 0 < len(form) <= MOST_PLACES:
        raise JobFileError(place, f"give 1 to {MOST_PLACES} places, of which the first with a value counts.")
    return tuple(_place(one, f"{place}[{index}]") for index, one in enumerate(form))


def steps_of(text: str, place: str) -> Steps:
    """Raises:
    JobFileError: it is no pointer.
    """
    try:
        return parse_pointer(text)
    except ValueError as error:
        raise JobFileError(place, str(error)) from error


def _place(form: str | PlaceTable, place: str) -> ValuePlace:
    if isinstance(form, str):
        return ValuePlace(steps_of(form, place))
    return ValuePlace(
        steps_of(form.at, f"{place}.at"),
        None if form.json is None else steps_of(form.json, f"{place}.json"),
        None if form.each is None else steps_of(form.each, f"{place}.each"),
    )


def match_of(table: MatchTable, place: str) -> Match:
    """Raises:
    JobFileError: a pointer is none, or there are no words.
    """
    words = None if table.words is None else frozenset(_words(table.words, f"{place}.words"))
    return Match(at=places_of(table.at, f"{place}.at"), words=words)


def verdict_of(table: VerdictTable, place: str) -> VerdictRule:
    """Raises:
    JobFileError: the rule fits every answer, or answers that prove nothing.
    """
    if table.at is None and table.words is not None:
        raise JobFileError(f"{place}.words", "add `at`, where the word stands.")
    if table.at is None and not table.status:
        raise JobFileError(place, "it needs `status` or `at`; otherwise it would fit every answer.")
    weak = [one for one in table.status or () if not 400 <= one < 500 or one == 408]
    if weak and table.at is None and table.means != "unknown":
        text = f"{weak[0]} alone does not prove that nothing was begun; say with `at` and `words` what does."
        raise JobFileError(f"{place}.status", text)
    return VerdictRule(
        means=table.means,
        statuses=None if table.status is None else frozenset(table.status),
        match=None if table.at is None else match_of(MatchTable(at=table.at, words=table.words), place),
    )


def answer_of(table: AnswerTable, status: StatusTable, place: str = "answer") -> AnswerForm:
    """Raises:
    JobFileError: a pointer is none, or a status word stands for two things.
    """
    for name in _OWN_METRICS.intersection(table.metrics):
        raise JobFileError(f"{place}.metrics.{name}", "it is measured here; give the service's number another name.")
    metrics = {name: places_of(form, f"{place}.metrics.{name}") for name, form in table.metrics.items()}
    if table.cost is not None:
        if "cost" in metrics:
            raise JobFileError(f"{place}.cost", "there is a metric of this name, too.")
        metrics["cost"] = places_of(table.cost, f"{place}.cost")
    if table.base64 is not None and not _MEDIA_TYPE.fullmatch(table.base64):
        raise JobFileError(f"{place}.base64", f"{table.base64!r} is no type of a file, such as image/png.")
    return AnswerForm(
        status=places_of(table.status, f"{place}.status"),
        words=_status_words(status),
        id=places_of(table.id, f"{place}.id"),
        progress=places_of(table.progress, f"{place}.progress"),
        progress_full=table.progress_full,
        output=places_of(table.output, f"{place}.output"),
        base64=table.base64,
        logs=places_of(table.logs, f"{place}.logs"),
        error=places_of(table.error, f"{place}.error"),
        metrics=metrics,
    )


def _status_words(table: StatusTable) -> Mapping[str, End | None]:
    found: dict[str, End | None] = {}
    listed: dict[str, str] = {}
    for name, end in _LISTS.items():
        words: list[Word] = getattr(table, name)
        if not words and name in ("succeeded", "failed"):
            raise JobFileError(f"status.{name}", "it is empty, so that a run would never end so.")
        for word in _words(words, f"status.{name}") if words else ():
            if word in listed:
                raise JobFileError(f"status.{name}", f"the word {word!r} stands in status.{listed[word]}, too.")
            listed[word] = name
            found[word] = end
    return found


def _words(words: list[Word], place: str) -> list[str]:
    if not words:
        raise JobFileError(place, "it is empty.")
    found = []
    for word in words:
        text = word_of(word)
        if text is None:
            raise JobFileError(place, "it has an empty word.")
        if text in found:
            raise JobFileError(place, f"it has the word {text!r} twice; capitals do not count.")
        found.append(text)
    return found
