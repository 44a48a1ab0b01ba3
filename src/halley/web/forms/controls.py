"""Describes the controls of a form for the templates."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from halley.web.forms import names
from halley.web.forms.drafts import (
    BLANK,
    AsJson,
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
from halley.web.forms.options import json_text
from halley.web.forms.texts import is_date, is_number, local_time

SHOWN_CHARACTERS: Final = 300  # of a fault's field, as the API shortens it
Widget = Literal[
    "line",
    "lines",
    "number",
    "select",
    "secret",
    "date",
    "datetime",
    "file",
    "list",
    "entries",
    "group",
    "union",
    "json",
]
_SHORT: Final = 24  # characters of a default that is shown beside the label
Errors = Mapping[str, Sequence[str]]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """An option of a select, or a member of a union."""

    value: str
    label: str
    is_chosen: bool


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """One control with its label, or a group of them. `id` is also what an error summary links to."""

    widget: Widget
    id: str
    name: str
    label: str
    help: str = ""
    required: bool = False
    deprecated: bool = False
    text: str = ""
    default: str = ""  # what is used if nothing is filled in, as text
    options: tuple[Choice, ...] = ()
    children: "tuple[Control, ...]" = ()
    key: str = ""  # of an entry
    key_name: str = ""
    item_name: str = ""  # a hidden control that says that the item exists
    file_name: str = ""
    choice_name: str = ""
    add_name: str = ""
    remove_name: str = ""
    choose_name: str = ""
    is_choice: bool = False
    mark_name: str = ""  # a checkbox: send null, or an empty value
    mark_label: str = ""
    limits: str = ""  # the range and so on, in words
    attributes: tuple[tuple[str, str], ...] = ()
    errors: tuple[str, ...] = ()

    @property
    def is_item(self) -> bool:
        """Whether it is one of a list, or a choice of a union, whose own label is enough for the eye."""
        return self.is_choice or bool(self.remove_name)

    @property
    def limit_words(self) -> str:
        """Limits and a short default, beside the label. The other defaults are placeholders."""
        is_shown = self.default and self.widget != "select" and len(self.default) <= _SHORT
        return ", ".join(part for part in (self.limits, f"default {self.default}" if is_shown else "") if part)

    @property
    def hint_words(self) -> str:
        """The text below the label. A control that has no label has its limits there."""
        is_group = self.widget in {"list", "entries", "group", "union"}
        return " ".join(part for part in (self.help, self.limits if is_group else "") if part)

    @property
    def described_by(self) -> str:
        """The ids of the texts that describe it."""
        parts = [("-hint", self.hint_words), ("-error", self.errors)]
        return " ".join(f"{self.id}{end}" for end, there in parts if there)

    def all(self) -> "list[Control]":
        """This control and those below it."""
        return [self, *(below for child in self.children for below in child.all())]


def where(path: Sequence[str]) -> str:
    """How the API names a place of the input in its faults."""
    text = ".".join(["input", *path])
    return (
        text
        if len(text) <= SHOWN_CHARACTERS
        else f"{text[: SHOWN_CHARACTERS // 2]} ... {text[-SHOWN_CHARACTERS // 2 :]}"
    )


class Builder:
    """Builds controls; each gets the errors of its place."""

    def __init__(self, errors: Errors) -> None:
        self._errors = errors
        self.places: set[str] = set()

    def control(self, field: Field, draft: Draft, path: tuple[str, ...], place: tuple[str, ...]) -> Control:
        """`path` is the place in the form, `place` that in the input: they differ by entries' names and blank items."""
        spot = where(place)
        self.places.add(spot)
        base = Control(
            widget="line",
            id=names.name_of(names.VALUE, path),
            name=names.name_of(names.VALUE, path),
            label=field.label,
            help=field.help,
            required=field.required,
            deprecated=field.deprecated,
            default=default_of(field),
            limits=limits_of(field),
            errors=tuple(self._errors.get(spot, ())),
        )
        if isinstance(draft, AsJson) and field.kind != "json":
            return _with(base, widget="json", text=draft.text, name=names.name_of(names.JSON, path))
        return self._own(field, draft, path, place, _marked(base, field, draft, path))

    def _own(self, field: Field, draft: Draft, path: tuple[str, ...], place: tuple[str, ...], base: Control) -> Control:
        text = draft.text if isinstance(draft, Typed | AsJson) else ""
        match field.kind:
            case "array" if field.item is not None:
                return self._list(field.item, field, draft, path, place, base)
            case "dict" if field.item is not None:
                return self._entries(field.item, draft, path, place, base)
            case "object":
                given = draft.members if isinstance(draft, Members) else {}
                children = [
                    self.control(m, given.get(m.name, BLANK), (*path, m.name), (*place, m.name)) for m in field.members
                ]
                return _with(base, widget="group", children=tuple(children))
            case "union":
                return self._union(field, draft, path, place, base)
            case _:
                return _plain(field, text, path, base)

    def _list(
        self,
        item: Field,
        field: Field,
        draft: Draft,
        path: tuple[str, ...],
        place: tuple[str, ...],
        base: Control,
    ) -> Control:
        items = draft.items if isinstance(draft, Items) else []
        if not items and not isinstance(draft, Marked) and item.kind not in {"array", "object", "dict"}:
            items = [BLANK] * max(1, min(field.min_length or 0, 8))  # one to begin with, without a press of Add
        children, sent = [], 0
        for number, one in enumerate(items):
            is_sent = not is_blank(one)
            child = self.control(item, one, (*path, str(number)), (*place, str(sent) if is_sent else ""))
            label = f"{field.label} {number + 1}".strip()
            children.append(_removable(_with(child, label=label, required=False), path, number))
            sent += is_sent
        is_full = field.max_length is not None and len(items) >= field.max_length
        add = "" if is_full else names.name_of(names.ADD, path)
        return _with(base, widget="list", children=tuple(children), add_name=add)

    def _entries(
        self, item: Field, draft: Draft, path: tuple[str, ...], place: tuple[str, ...], base: Control
    ) -> Control:
        rows = draft.rows if isinstance(draft, Rows) else []
        if not rows and not isinstance(draft, Marked) and item.kind not in {"array", "object", "dict"}:
            rows = [("", BLANK)]
        children = []
        for number, (key, one) in enumerate(rows):
            inner = (*path, str(number))
            child = self.control(item, one, inner, (*place, key))
            child = _with(child, label="Value", required=False, key=key, key_name=names.name_of(names.KEY, inner))
            children.append(_removable(child, path, number))
        return _with(base, widget="entries", children=tuple(children), add_name=names.name_of(names.ADD, path))

    def _union(
        self, field: Field, draft: Draft, path: tuple[str, ...], place: tuple[str, ...], base: Control
    ) -> Control:
        chosen = draft if isinstance(draft, Chosen) else Chosen(0, BLANK)
        member = msgspec.structs.replace(field.members[chosen.index], required=field.required, help="", default=None)
        child = self.control(member, chosen.draft, path, place)
        options = tuple(
            Choice(value=str(number), label=one.label, is_chosen=number == chosen.index)
            for number, one in enumerate(field.members)
        )
        return _with(
            base,
            widget="union",
            id=f"{base.id}-choice",
            options=options,
            children=(_with(child, errors=(), is_choice=True),),
            choice_name=names.name_of(names.CHOICE, path),
            choose_name=names.name_of(names.CHOOSE, path),
        )


def _plain(field: Field, text: str, path: tuple[str, ...], base: Control) -> Control:
    base = _with(base, text=text, attributes=_attributes(field))
    match field.kind:
        case "boolean" | "enum":
            return _with(base, widget="select", options=_choices(field, text))
        case "integer" | "number" if not text or is_number(text):
            return _with(base, widget="number")
        case "date" if not text or is_date(text):
            return _with(base, widget="date")
        case "datetime" if not text or local_time(text) == text:
            return _with(base, widget="datetime")
        case "file":
            return _with(base, widget="file", file_name=names.name_of(names.FILE, path))
        case "json":
            return _with(base, widget="json")
        case "secret" if "\n" not in text:
            return _with(base, widget="secret")
        case "text":
            return _with(base, widget="lines")
        case _:
            return _with(base, widget="lines" if "\n" in text else "line")


def _choices(field: Field, text: str) -> tuple[Choice, ...]:
    pairs = (
        [("true", "Yes"), ("false", "No")] if field.kind == "boolean" else [(o.text, o.label) for o in field.options]
    )
    if text and text not in {value for value, _ in pairs}:
        pairs.append((text, text))  # shown as it was sent; the fault says what is wrong with it
    default = default_of(field)
    nothing = f"Default: {default}" if default else "Choose" if field.required else "Not set"
    return (
        Choice(value="", label=nothing, is_chosen=not text),
        *(Choice(value=value, label=label, is_chosen=value == text) for value, label in pairs),
    )


def _removable(child: Control, path: tuple[str, ...], number: int) -> Control:
    inner = (*path, str(number))
    return _with(child, item_name=names.name_of(names.ITEM, inner), remove_name=names.name_of(names.REMOVE, inner))


def _marked(base: Control, field: Field, draft: Draft, path: tuple[str, ...]) -> Control:
    """With the checkbox of a value that looks as if nothing was filled in."""
    if not isinstance(draft, Marked):
        return base
    if draft.what == "null":
        return _with(base, mark_name=names.name_of(names.NULL, path), mark_label="Send null")
    kind = {"array": "list", "object": "object", "dict": "object"}.get(field.kind, "text")
    return _with(base, mark_name=names.name_of(names.EMPTY, path), mark_label=f"Send an empty {kind}")


def default_of(field: Field) -> str:
    """The value that is used if nothing is filled in, as text; "" without one."""
    if field.default is None or field.default in ("", [], {}):
        return ""
    if field.kind == "boolean" and isinstance(field.default, bool):
        return "Yes" if field.default else "No"
    if field.kind == "enum":
        text = json_text(field.default)
        found = next((option.label for option in field.options if json_text(option.value) == text), None)
        return text if found is None else found
    return field.default if isinstance(field.default, str) else json_text(field.default)


def limits_of(field: Field) -> str:
    """Which values are allowed, in words."""
    if field.kind in {"integer", "number"}:
        step = f"multiples of {_number(field.step)}" if field.step else ""
        return ", ".join(part for part in (_range(_number(field.minimum), _number(field.maximum)), step) if part)
    if field.kind == "datetime":
        return "UTC"
    if field.kind not in {"string", "text", "array", "secret"}:
        return ""
    unit = "items" if field.kind == "array" else "characters"
    found = _range(str(field.min_length or ""), "" if field.max_length is None else str(field.max_length))
    return f"{found} {unit}" if found else ""


def _range(low: str, high: str) -> str:
    if low and low == high:
        return low
    return f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}" if high else ""


def _number(bound: float | None) -> str:
    return "" if bound is None else json_text(bound)


def _attributes(field: Field) -> tuple[tuple[str, str], ...]:
    step: Any = field.step or ("1" if field.kind == "integer" else "any")
    given = {
        "integer": (("min", field.minimum), ("max", field.maximum), ("step", step)),
        "number": (("min", field.minimum), ("max", field.maximum), ("step", step)),
        "file": (("accept", field.accept or None),),
    }.get(field.kind, ())
    return tuple((name, str(value)) for name, value in given if value is not None)


def _with(control: Control, **changes: Any) -> Control:
    return msgspec.structs.replace(control, **changes)
