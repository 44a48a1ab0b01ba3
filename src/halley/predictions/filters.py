"""Which predictions a list or a bulk action means. The same members in a query, in JSON and at the command line."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

import msgspec

from halley.clock import rfc3339
from halley.errors import InputInvalid, InvalidField
from halley.ids import is_id
from halley.predictions.fingerprints import fingerprint, is_group
from halley.predictions.instants import read_instant
from halley.predictions.records import Prediction
from halley.predictions.status import LIVE, TERMINAL, WITH_ERROR, Status
from halley.predictions.tags import is_tag

MOST_CHARACTERS: Final = 200
"""Of each member; a longer one is refused."""
_SETS: Final = {LIVE: "waiting or running", TERMINAL: "ended"}

# only these: what a database and this module must do alike
_LOWER: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


class PredictionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Predictions that match all members that are set.

    `statuses` is any of these; `model` may hold `*` for any text; `error` is a part of the error, in which A to Z and a
    to z are the same; `group` is the fingerprint of an error. `created_after` is inclusive, `created_before` exclusive.
    """

    statuses: frozenset[Status] = frozenset()
    model: str | None = None
    key: str | None = None
    provider: str | None = None
    error: str | None = None
    tag: str | None = None
    group: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None

    def __bool__(self) -> bool:
        """Whether any member is set."""
        return self != _EVERYTHING

    @property
    def wanted_statuses(self) -> frozenset[Status]:
        """Those that can match: only failed predictions have an error. Empty: any, or none if the members disagree."""
        return WITH_ERROR if self.error is not None or self.group is not None else self.statuses

    @property
    def is_impossible(self) -> bool:
        """Whether its members exclude each other: nothing matches."""
        asks_failed = self.error is not None or self.group is not None
        return asks_failed and bool(self.statuses) and not self.statuses & WITH_ERROR

    def matches(self, row: Prediction, tags: Collection[str] = ()) -> bool:
        """Whether the prediction, with these tags, matches. Its account is not compared."""
        return (
            (not self.statuses or row.status in self.statuses)
            and (self.model is None or fits_pattern(row.model, self.model))
            and self.key in (None, row.key_id)
            and self.provider in (None, row.provider)
            and (self.tag is None or self.tag in tags)
            and (self.created_after is None or row.created_at >= self.created_after)
            and (self.created_before is None or row.created_at < self.created_before)
            and self._fits_error(row)
        )

    def _fits_error(self, row: Prediction) -> bool:
        if self.error is None and self.group is None:
            return True
        if row.status not in WITH_ERROR:
            return False
        return (self.error is None or folded(self.error) in folded(row.error or "")) and (
            self.group is None or self.group == fingerprint(row.model, row.error)
        )

    def members(self) -> dict[str, str]:
        """The members that are set, as in a query; `read_filter` makes the same filter of them."""
        found = {
            "status": ",".join(status for status in Status if status in self.statuses),
            "model": self.model,
            "key": self.key,
            "provider": self.provider,
            "error": self.error,
            "tag": self.tag,
            "group": self.group,
            "created_after": None if self.created_after is None else rfc3339(self.created_after),
            "created_before": None if self.created_before is None else rfc3339(self.created_before),
        }
        return {name: text for name, text in found.items() if text}

    def query(self) -> str:
        """The members as the query of a URL, without `?`."""
        return urlencode(self.members())

    def describe(self) -> str:
        """The filter in words: `failed predictions of demo/fail, created after ...`."""
        words = [str(status) for status in Status if status in self.statuses]
        text = _SETS.get(self.statuses, " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words))
        text = f"{text} predictions".lstrip() if text else "all predictions"
        parts = [
            "" if self.model is None else f" of {self.model}",
            "" if self.provider is None else f" on {self.provider}",
            "" if self.key is None else f" of the key {self.key}",
            "" if self.tag is None else f" with the tag {self.tag!r}",
            "" if self.error is None else f" with {self.error!r} in the error",
            "" if self.group is None else f" in the error group {self.group}",
            "" if self.created_after is None else f", created at {rfc3339(self.created_after)} or later",
            "" if self.created_before is None else f", created before {rfc3339(self.created_before)}",
        ]
        return text + "".join(parts)


_EVERYTHING: Final = PredictionFilter()


def folded(text: str) -> str:
    """The text with a to z for A to Z."""
    return text.translate(_LOWER)


def fits_pattern(text: str, pattern: str) -> bool:
    """Whether the text is the pattern, in which each `*` stands for any text, also none."""
    first, *others = pattern.split("*")
    if not others:
        return text == pattern
    if not text.startswith(first):
        return False
    at = len(first)
    for part in others[:-1]:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(text) - at >= len(others[-1]) and text.endswith(others[-1])


def read_filter(members: Mapping[str, str], *, strict: bool = True) -> PredictionFilter:
    """The filter of a query or of a JSON object of texts. Empty members are as absent ones.

    `strict`: a member of another name is a fault; otherwise it is ignored, as in a query with other members.

    Raises:
        InputInvalid: lists every fault, with the most similar name where there is one.
    """
    faults = [_unknown_member(name) for name in members if strict and name not in _READERS]
    found: dict[str, object] = {}
    for name, (member, read) in _READERS.items():
        text = members.get(name)
        if text is None or not text.strip():
            continue
        try:
            if len(text) > MOST_CHARACTERS:
                raise _Unfit("length", f"must have at most {MOST_CHARACTERS} characters")
            found[member] = read(text.strip())
        except _Unfit as unfit:
            faults.append(InvalidField(type=unfit.kind, field=name, description=str(unfit)))
    if faults:
        raise InputInvalid(tuple(faults))
    return PredictionFilter(**found)  # type: ignore[arg-type]  # each reader gives the type of its member


class _Unfit(Exception):
    """The text of a member cannot be used."""

    def __init__(self, kind: str, description: str) -> None:
        super().__init__(description)
        self.kind = kind


def _unknown_member(name: str) -> InvalidField:
    shown = name[:MOST_CHARACTERS]
    hint = _similar(shown, FILTER_MEMBERS) or f"; choose from {', '.join(FILTER_MEMBERS)}"
    return InvalidField(type="unknown", field=shown, description=f"is not a filter{hint}")


def _similar(text: str, words: Collection[str]) -> str:
    from difflib import get_close_matches  # only a faulty filter needs it

    close = get_close_matches(text, words, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _statuses(text: str) -> frozenset[Status]:
    known = {str(status): status for status in Status}
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if word not in known:
            choices = ", ".join(known)
            raise _Unfit("enum", f"{word!r} is not a status{_similar(word, known)} (one or more of {choices})")
    return frozenset(known[word] for word in words)


def _model(text: str) -> str:
    if "*" not in text and text.count("/") != 1:
        raise _Unfit("format", f"must be owner/name, or a pattern such as */{text.strip('/').split('/')[-1]}*")
    return text


def _key(text: str) -> str:
    if not is_id(text):
        raise _Unfit("format", "must be the id of a key, as in the list of keys; not the key itself")
    return text


def _tag(text: str) -> str:
    if not is_tag(text):
        raise _Unfit("format", "must be a tag: 1 to 64 characters, none of them a control character")
    return text


def _group(text: str) -> str:
    if not is_group(text):
        raise _Unfit("format", "must be the fingerprint of an error group, as in /v1/errors")
    return text


def _instant(text: str) -> datetime:
    try:
        return read_instant(text)
    except (ValueError, OverflowError) as error:
        raise _Unfit("format", "must be a date and time such as 2026-01-31T12:00:00Z") from error


_READERS: Final[dict[str, tuple[str, Callable[[str], object]]]] = {
    "status": ("statuses", _statuses),
    "model": ("model", _model),
    "key": ("key", _key),
    "provider": ("provider", str),
    "error": ("error", str),
    "tag": ("tag", _tag),
    "group": ("group", _group),
    "created_after": ("created_after", _instant),
    "created_before": ("created_before", _instant),
}
FILTER_MEMBERS: Final = tuple(_READERS)
"""The names of all members, as in a query."""
