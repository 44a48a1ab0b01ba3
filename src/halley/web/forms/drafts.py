"""What the controls of a form contain: a draft. It keeps what was typed as it was typed, whether it is valid or not.

A control that cannot show a value is replaced by a text area with the value as JSON, so every input has a draft.
"""

import json
from typing import Any, Final, Literal, assert_never

import msgspec

from halley.web.forms.fields import STRUCTURED, TEXTS, Field
from halley.web.forms.texts import text_of

ITEMS: Final = 100  # of a list or dict that are shown each in its own control


class Blank(msgspec.Struct, frozen=True):
    """Nothing was filled in: an optional input is not sent."""


class Typed(msgspec.Struct, frozen=True):
    """The text of a control; for an enum, that of the option."""

    text: str


class Marked(msgspec.Struct, frozen=True):
    """Nothing was filled in, and that is meant: null, or an empty text, list or object is sent."""

    what: Literal["null", "empty"]


class AsJson(msgspec.Struct, frozen=True):
    """The value as JSON text."""

    text: str


class Items(msgspec.Struct, frozen=True):
    """The items of a list."""

    items: "list[Draft]"


class Members(msgspec.Struct, frozen=True):
    """The members of an object, by name."""

    members: "dict[str, Draft]"


class Rows(msgspec.Struct, frozen=True):
    """The entries of a dict, in order."""

    rows: "list[tuple[str, Draft]]"


class Chosen(msgspec.Struct, frozen=True):
    """The shown member of a union."""

    index: int
    draft: "Draft"


Draft = Blank | Typed | Marked | AsJson | Items | Members | Rows | Chosen
BLANK: Final = Blank()
NULL: Final = Marked("null")
EMPTY: Final = Marked("empty")


def is_blank(draft: Draft) -> bool:
    """Whether nothing is filled in, here or below."""
    match draft:
        case Blank():
            return True
        case Typed() | Marked() | AsJson():
            return False
        case Items():
            return all(map(is_blank, draft.items))
        case Members():
            return all(map(is_blank, draft.members.values()))
        case Rows():
            return all(not key and is_blank(value) for key, value in draft.rows)
        case Chosen():
            return is_blank(draft.draft)
        case _:
            assert_never(draft)


def as_json(value: Any) -> AsJson:
    """The draft of a value that no control fits."""
    return AsJson(json.dumps(value, ensure_ascii=False, indent=2))


def draft_of(field: Field, value: Any) -> Draft:
    """What the form contains for a value."""
    return _fitting(field, value) or as_json(value)


def members_of(fields: tuple[Field, ...], value: dict[str, Any]) -> Members:
    """The draft of an object's declared members."""
    return Members({f.name: draft_of(f, value[f.name]) if f.name in value else BLANK for f in fields})


def fits(field: Field, value: Any) -> bool:
    """Whether the field's own control can show the value, so that it is of this member of a union."""
    found = _fitting(field, value)
    return found is not None and not _has_json(found)


def _fitting(field: Field, value: Any) -> Draft | None:
    if value is None:
        return NULL if field.nullable else None
    if field.kind in STRUCTURED:
        return _structured(field, value)
    if field.kind == "json":
        return as_json(value)
    if value == "" and field.kind in TEXTS:
        return EMPTY
    text = text_of(field, value)
    return None if text is None else Typed(text)


def _structured(field: Field, value: Any) -> Draft | None:
    if field.kind == "union":
        found = next((number for number, member in enumerate(field.members) if fits(member, value)), None)
        return None if found is None else Chosen(found, draft_of(field.members[found], value))
    if not isinstance(value, list | dict) or isinstance(value, list) != (field.kind == "array") or len(value) > ITEMS:
        return None
    if not value:
        return EMPTY
    if isinstance(value, list):
        return None if field.item is None else Items([draft_of(field.item, item) for item in value])
    if field.kind == "object":
        known = {member.name for member in field.members}
        return members_of(field.members, value) if known.issuperset(value) else None
    if field.item is None or any("\n" in key or "\r" in key for key in value):  # a control of one line has none
        return None
    return Rows([(key, draft_of(field.item, item)) for key, item in value.items()])


def _has_json(draft: Draft) -> bool:
    match draft:
        case Items():
            return any(map(_has_json, draft.items))
        case Members():
            return any(map(_has_json, draft.members.values()))
        case Rows():
            return any(_has_json(value) for _, value in draft.rows)
        case Chosen():
            return _has_json(draft.draft)
        case _:
            return isinstance(draft, AsJson)
