"""Reads a version's OpenAPI document into the fields of a form. It never raises for what a model wrote there.

What no control fits becomes a JSON field: rules without a type, objects that say nothing of their members, and what
is nested deeper than a form can show.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from halley.web.forms.author import AuthorForm, read_author
from halley.web.forms.fields import Field, Form, Kind
from halley.web.forms.options import options_of
from halley.web.forms.resolving import UNIONS, reference_name, resolve, text_in, without_null

DEPTH: Final = 4  # levels below an input that have their own controls
INPUTS: Final = 500  # with controls of their own; the others are written as JSON
FIELDS: Final = 400  # after which nested values are written as JSON; a schema that refers to itself has no end
_LONG: Final = re.compile(
    r"prompt|text|message|description|instruction|lyrics|content|caption|script|query|code|input$"
)
_PLAIN: Final = re.compile(r"[a-z][a-z0-9_]*[a-z0-9]|[a-z]", re.ASCII)
_LONG_CHARACTERS: Final = 200
_FORMATS: Final[Mapping[str, Kind]] = {
    "uri": "file",
    "password": "secret",
    "date": "date",
    "date-time": "datetime",
}
_ORDER_LAST: Final = 2**31


def read_form(document: Any) -> Form:
    """The form of an OpenAPI document: `components.schemas.Input`, as the author arranged it.

    `document` is decoded JSON. Without a usable schema the form has no fields: the input is written as JSON.
    """
    schemas = _schemas(document)
    author = read_author(document.get("x-halley-form") if isinstance(document, dict) else None)
    whole = resolve(schemas.get("Input"), schemas)
    members = whole.get("properties")
    reader = _Reader(schemas)
    fields = reader.members(members, whole.get("required"), 0)[:INPUTS] if isinstance(members, dict) else ()
    is_open = whole.get("additionalProperties") is True or len(fields) == INPUTS
    return msgspec.structs.replace(_arranged(fields, author), is_open=is_open)


def _schemas(document: Any) -> dict[str, Any]:
    try:
        found = document["components"]["schemas"]
    except (KeyError, TypeError, IndexError):
        return {}
    return found if isinstance(found, dict) else {}


def _arranged(fields: tuple[Field, ...], author: AuthorForm) -> Form:
    by_name = {field.name: field for field in fields}
    ordered = [name for name in author.order if name in by_name]
    names = [*ordered, *(name for name in by_name if name not in set(ordered))]
    shown = tuple(
        msgspec.structs.replace(
            by_name[name],
            label=author.labels.get(name, by_name[name].label),
            help=author.help.get(name, by_name[name].help),
        )
        for name in names
    )
    hidden = frozenset(name for name in author.hidden if name in by_name and not by_name[name].required)
    first = {*ordered, *(field.name for field in fields if field.required)} - hidden
    if not first:
        first = set([field.name for field in shown if field.name not in hidden][:1])
    return Form(
        fields=shown,
        first=frozenset(first),
        hidden=hidden,
        groups=tuple(author.groups),
        examples=tuple(author.examples),
    )


class _Reader:
    """Reads the rules of one document."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        self._schemas = schemas
        self._left = FIELDS

    def members(self, members: dict[str, Any], required: Any, depth: int) -> tuple[Field, ...]:
        """The fields of an object, in the order of `x-order`."""
        needed = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
        fields = [(_order(rule), self.field(rule, name, name in needed, depth)) for name, rule in members.items()]
        return tuple(field for _, field in sorted(fields, key=lambda pair: pair[0]))

    def field(self, rule: Any, name: str, required: bool, depth: int) -> Field:
        self._left -= 1
        whole, nullable = without_null(resolve(rule, self._schemas), self._schemas)
        bounds = _bounds(whole)
        made = self._shaped(whole, name, depth)
        return msgspec.structs.replace(
            made,
            name=name,
            label=_label(rule, whole, name),
            help=text_in(whole, "description") if text_in(whole, "description") != "An enumeration." else "",
            required=required,
            nullable=nullable or made.nullable,
            deprecated=whole.get("deprecated") is True,
            default=None if made.kind == "secret" else whole.get("default"),
            **bounds,
        )

    def _shaped(self, rule: dict[str, Any], name: str, depth: int) -> Field:
        """The kind, with the fields below it."""
        options = options_of(rule)
        if options:
            return Field(kind="enum", options=options)
        for word in UNIONS:
            if isinstance(rule.get(word), list) and rule[word]:
                return self._union(rule[word], depth)
        kind = rule.get("type")
        if isinstance(kind, list):
            return self._union([{**rule, "type": one} for one in kind], depth)
        if kind in {"string", "number", "integer", "boolean"}:
            return Field(kind=_plain_kind(rule, name))
        return self._structured(rule, depth) if self._left > 0 and depth < DEPTH else Field(kind="json")

    def _structured(self, rule: dict[str, Any], depth: int) -> Field:
        items, members, others = rule.get("items"), rule.get("properties"), rule.get("additionalProperties")
        if rule.get("type", "array") == "array" and isinstance(items, dict) and items:
            return Field(kind="array", item=self.field(items, "", False, depth + 1))
        if rule.get("type", "object") != "object":
            return Field(kind="json")
        if isinstance(members, dict) and members and len(members) <= self._left:
            return Field(kind="object", members=self.members(members, rule.get("required"), depth + 1))
        if not members and isinstance(others, dict) and others:
            return Field(kind="dict", item=self.field(others, "", True, depth + 1))
        return Field(kind="json")

    def _union(self, parts: list[Any], depth: int) -> Field:
        if depth >= DEPTH or len(parts) > self._left:
            return Field(kind="json")
        listed = [self._choice(part, depth + 1) for part in parts]
        # a union in a union is one choice, not two
        members = [below for one in listed for below in (one.members if one.kind == "union" else (one,))]
        nullable = any(one.kind == "union" and one.nullable for one in listed)
        return Field(kind="union", members=tuple(members), nullable=nullable)

    def _choice(self, part: Any, depth: int) -> Field:
        field = self.field(part, "", False, depth)
        return field if field.label else msgspec.structs.replace(field, label=kind_label(field))


def _plain_kind(rule: dict[str, Any], name: str) -> Kind:
    kind: Kind = rule["type"]
    if kind != "string":
        return kind
    if rule.get("x-cog-secret") is True:
        return "secret"
    found = _FORMATS.get(text_in(rule, "format"))
    if found is not None:
        return found
    longest, default = rule.get("maxLength"), rule.get("default")
    if isinstance(longest, int) and longest <= _LONG_CHARACTERS:
        return "string"
    is_long = _LONG.search(name.lower()) is not None or (isinstance(longest, int))
    return "text" if is_long or (isinstance(default, str) and "\n" in default) else "string"


def _bounds(rule: dict[str, Any]) -> dict[str, Any]:
    lengths = {"min_length": ("minLength", "minItems"), "max_length": ("maxLength", "maxItems")}
    numbers = {"minimum": ("minimum",), "maximum": ("maximum",), "step": ("multipleOf",)}
    texts = {"pattern": ("pattern",), "accept": ("x-cog-accept",)}
    found = {name: _first(rule, words, int) for name, words in lengths.items()}
    found |= {name: _first(rule, words, (int, float)) for name, words in numbers.items()}
    return found | {name: _first(rule, words, str) or "" for name, words in texts.items()}


def _first(rule: dict[str, Any], words: tuple[str, ...], kind: Any) -> Any:
    return next((rule[w] for w in words if isinstance(rule.get(w), kind) and not isinstance(rule[w], bool)), None)


def _label(rule: Any, whole: dict[str, Any], name: str) -> str:
    own = text_in(rule, "title") if isinstance(rule, dict) else ""
    if own.strip():
        return own
    if name:  # the title of a referenced schema is the name of a class, not of this input
        return _words(name)
    return text_in(whole, "title") or reference_name(rule)


def _words(name: str) -> str:
    """The name as Cog titles it; a name that is no identifier in small letters stays as it is."""
    return name.replace("_", " ").capitalize() if _PLAIN.fullmatch(name) else name


def kind_label(field: Field) -> str:
    """The kind of a field in words."""
    names = {"string": "Text", "text": "Text", "json": "JSON", "datetime": "Date and time", "dict": "Entries"}
    if field.kind == "array" and field.item is not None:
        word = kind_label(field.item)
        return f"List of {word}" if field.item.kind in {"json", "dict", "array"} else f"List of {word.lower()}s"
    return names.get(field.kind, field.kind.capitalize())


def type_words(field: Field) -> str:
    """What a value can be, in words."""
    if field.kind == "enum":
        return "One of"
    parts = [member.label for member in field.members] if field.kind == "union" else [kind_label(field)]
    parts += ["null"] if field.nullable else []
    return f"{', '.join(parts[:-1])} or {parts[-1]}" if len(parts) > 1 else parts[0]


def _order(rule: Any) -> float:
    found = rule.get("x-order") if isinstance(rule, dict) else None
    return found if isinstance(found, int | float) and not isinstance(found, bool) else _ORDER_LAST
