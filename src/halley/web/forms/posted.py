"""Reads a posted form into a draft, and a draft into the input to send."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from halley.strict_json import DEPTH, is_deeper, repeats_a_name, without_escapes, without_strings
from halley.web.forms import names
from halley.web.forms.drafts import (
    BLANK,
    EMPTY,
    NULL,
    AsJson,
    Blank,
    Chosen,
    Draft,
    Items,
    Marked,
    Members,
    Rows,
    Typed,
    is_blank,
)
from halley.web.forms.fields import Field
from halley.web.forms.names import PostedNode
from halley.web.forms.texts import is_empty, value_of_text

NOT_JSON: Final = "This is not valid JSON"
VALUES: Final = 50_000
"""In all JSON texts of a form. A page takes a microsecond for each, and nothing else is served meanwhile."""


class InputFault(msgspec.Struct, frozen=True, kw_only=True):
    """Something in the form that cannot be sent. `path` are names and numbers, as in the input."""

    path: tuple[str, ...]
    text: str


def draft_of_post(fields: Sequence[Field], top: PostedNode) -> dict[str, Draft]:
    """The draft of each input."""
    return {field.name: _read(field, top.below.get(field.name)) for field in fields}


def input_of(fields: Sequence[Field], drafts: dict[str, Draft]) -> tuple[dict[str, Any], tuple[InputFault, ...]]:
    """The input that the drafts mean, and what cannot be sent. Optional inputs without a value are left out."""
    writer = _Writer()
    return writer.members(fields, drafts, ()), tuple(writer.faults)


def read_json(text: str) -> Any:
    """The value of JSON text.

    Raises:
        ValueError: it is not JSON, and the message says where; or a page cannot show so many values or levels.
    """
    return JsonReader().read(text)


class JsonReader:
    """Reads the JSON texts of one form, which have VALUES values together."""

    def __init__(self) -> None:
        self._left = VALUES

    def read(self, text: str) -> Any:
        """The value of a text. Raises as `read_json` does."""
        try:
            data = text.encode()
        except UnicodeError as error:
            raise ValueError(f"{NOT_JSON}: {error}.") from error
        self._count(data)
        try:
            value = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise ValueError(f"{NOT_JSON}: {error}.") from error
        if is_deeper(data, DEPTH):
            raise ValueError(f"A form takes at most {DEPTH} levels of lists and objects.")
        if repeats_a_name(data, value):
            raise ValueError("An object in this JSON has the same name twice.")
        return value

    def _count(self, data: bytes) -> None:
        """Count the values before they are made. One that is not the first of its list or object follows a comma."""
        count = _separators(without_strings(without_escapes(data)) if b'"' in data else data)
        if count > self._left:
            raise ValueError(f"A form takes at most {VALUES:,} values. Send this input to the API.")
        self._left -= count


def _separators(data: bytes) -> int:
    return data.count(b",") + data.count(b"[") + data.count(b"{")


def _read(field: Field, node: PostedNode | None) -> Draft:
    if node is None:
        return BLANK
    as_json = _lines(node.texts.get(names.JSON, ""))
    if as_json.strip():
        return AsJson(as_json)
    found = _read_own(field, node)
    if is_blank(found) and not isinstance(found, Chosen):
        if field.nullable and names.NULL in node.texts:
            return NULL
        if names.EMPTY in node.texts:
            return EMPTY
    elif isinstance(found, Chosen) and is_blank(found) and field.nullable and names.NULL in node.texts:
        return NULL
    return found


def _read_own(field: Field, node: PostedNode) -> Draft:
    match field.kind:
        case "array" if field.item is not None:
            return Items([_read(field.item, below) for below in node.numbered()])
        case "dict" if field.item is not None:
            return Rows([(_lines(b.texts.get(names.KEY, "")), _read(field.item, b)) for b in node.numbered()])
        case "object":
            return Members({member.name: _read(member, node.below.get(member.name)) for member in field.members})
        case "union":
            return _read_union(field, node)
        case _:
            text = _lines(node.texts.get(names.VALUE, ""))
            if field.kind == "json":
                return AsJson(text) if text.strip() else BLANK
            return BLANK if is_empty(field, text) else Typed(text)


def _read_union(field: Field, node: PostedNode) -> Draft:
    text = node.texts.get(names.CHOICE, "0")
    index = int(text) if text.isascii() and text.isdecimal() and len(text) < 4 else 0
    index = min(index, len(field.members) - 1)
    return Chosen(index, _read(field.members[index], node))


def _lines(text: str) -> str:
    """A browser sends the end of each line as CR LF (HTML, "constructing the entry list")."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


class _Writer:
    """Writes drafts as values, and collects faults."""

    def __init__(self) -> None:
        self.faults: list[InputFault] = []
        self._json = JsonReader()

    def members(self, fields: Sequence[Field], drafts: dict[str, Draft], path: tuple[str, ...]) -> dict[str, Any]:
        found = {f.name: self.value(f, drafts.get(f.name, BLANK), (*path, f.name)) for f in fields}
        return {name: value for name, value in found.items() if value is not UNSET}

    def value(self, field: Field, draft: Draft, path: tuple[str, ...]) -> Any | UnsetType:
        """The value; UNSET if it is not sent."""
        match draft:
            case Marked(what="null"):
                return None
            case Marked():
                return {"array": [], "object": {}, "dict": {}}.get(field.kind, "")
            case AsJson():
                return self._decoded(draft.text, path)
            case Chosen():
                return self._chosen(field, draft, path)
            case _ if is_blank(draft):
                return self._nothing(field, draft, path)
            case Typed():
                return value_of_text(field, draft.text)
            case Members():
                return self.members(field.members, draft.members, path)
            case Items() if field.item is not None:
                return self._items(field.item, draft, path)
            case Rows() if field.item is not None:
                return self._rows(field.item, draft, path)
            case Blank() | Items() | Rows():
                return UNSET

    def _nothing(self, field: Field, draft: Draft, path: tuple[str, ...]) -> Any | UnsetType:
        """What is sent for a required input that was not filled in, where there is only one possibility."""
        if not field.required:
            return UNSET
        if field.nullable:
            return None
        if field.kind == "object":
            return self.members(field.members, draft.members if isinstance(draft, Members) else {}, path)
        return {"array": [], "dict": {}}.get(field.kind, UNSET)

    def _chosen(self, field: Field, draft: Chosen, path: tuple[str, ...]) -> Any | UnsetType:
        member = msgspec.structs.replace(field.members[draft.index], required=field.required)
        if is_blank(draft) and field.nullable and field.required:
            return None
        return self.value(member, draft.draft, path)

    def _items(self, item: Field, draft: Items, path: tuple[str, ...]) -> list[Any]:
        found: list[Any] = []
        for one in draft.items:
            value = UNSET if is_blank(one) else self.value(item, one, (*path, str(len(found))))
            if value is not UNSET:
                found.append(value)
        return found

    def _rows(self, item: Field, draft: Rows, path: tuple[str, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, one in draft.rows:
            if not key and is_blank(one):
                continue
            value = self.value(item, one, (*path, key))
            if value is UNSET and item.kind in {"string", "text", "secret"}:
                value = ""
            if value is UNSET:
                self.faults.append(InputFault(path=(*path, key), text="A value is missing"))
            elif key in found:
                self.faults.append(InputFault(path=(*path, key), text=f"The name {key} is there twice"))
            else:
                found[key] = value
        return found

    def _decoded(self, text: str, path: tuple[str, ...]) -> Any:
        try:
            return self._json.read(text)
        except ValueError as error:
            self.faults.append(InputFault(path=path, text=str(error)))
            return UNSET
