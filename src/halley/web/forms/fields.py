"""What a form can ask for, as values."""

from typing import Any, Final, Literal

import msgspec

Kind = Literal[
    "string",
    "text",
    "number",
    "integer",
    "boolean",
    "enum",
    "secret",
    "date",
    "datetime",
    "file",
    "array",
    "object",
    "dict",
    "union",
    "json",
]
TEXTS: Final = frozenset({"string", "text", "secret", "file"})
"""Kinds whose value is the text itself."""
STRUCTURED: Final = frozenset({"array", "object", "dict", "union"})


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One of the values of an enum. `text` stands for it in the form."""

    text: str
    label: str
    value: Any


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One input, or a part of one. Structured kinds have the fields below them."""

    kind: Kind
    name: str = ""
    label: str = ""
    help: str = ""
    required: bool = False
    nullable: bool = False
    deprecated: bool = False
    default: Any = None  # None: there is none
    options: tuple[Option, ...] = ()  # of an enum
    members: "tuple[Field, ...]" = ()  # of an object, or the choices of a union
    item: "Field | None" = None  # of an array, or the values of a dict
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    min_length: int | None = None  # characters, or items
    max_length: int | None = None
    pattern: str = ""
    accept: str = ""  # media types of a file


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Inputs that the author shows together."""

    title: str
    names: tuple[str, ...]


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """An input that the author gives as an example."""

    title: str
    input: dict[str, Any]


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs of a version, in the order in which they are shown."""

    fields: tuple[Field, ...]
    is_open: bool = False  # other members are accepted, too
    first: frozenset[str] = frozenset()  # names that are shown at once; the others are folded
    hidden: frozenset[str] = frozenset()
    groups: tuple[Group, ...] = ()
    examples: tuple[Example, ...] = ()
