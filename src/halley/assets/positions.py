"""Where files can be in an input, read from a version's schema once."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

Pointer = tuple[str | int, ...]
"""Where a value sits inside a JSON value: member names and list indexes from the top."""

RULES_LIMIT: Final = 10_000  # of one input's schema; written by hand it has some dozens
_REFERENCE: Final = "#/components/schemas/"
_UNIONS: Final = ("anyOf", "oneOf", "allOf")


class Place(msgspec.Struct):
    """What a value of some rule can hold: itself a file, or files below it. A rule that can hold none has no place."""

    is_file: bool = False
    members: dict[str, "Place | None"] = {}
    others: "Place | None" = None  # the members of an object that are not named; then all named ones are in `members`
    items: "Place | None" = None


def file_places(schema: Mapping[str, Any]) -> Place | None:
    """Read from an OpenAPI document where its Input can hold files, at every level that it names.

    A file is a string with `format: uri`. A URL in any other string is text, and so is all that an object holds whose
    members the schema does not know.
    """
    try:
        schemas = schema["components"]["schemas"]
        return _Reader(schemas).read(schemas["Input"])
    except (KeyError, TypeError, RecursionError):
        return None


def read_places(openapi_schema: bytes) -> Place | None:
    """The same from an encoded document; nothing from one that cannot be read."""
    try:
        schema = msgspec.json.decode(openapi_schema)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return file_places(schema) if isinstance(schema, dict) else None


def places(where: Place, value: Any, at: Pointer = ()) -> Iterator[tuple[Pointer, str]]:
    """Give each string that stands in the position of a file, with its exact place."""
    if isinstance(value, str):
        if where.is_file:
            yield at, value
    elif isinstance(value, list):
        for index, item in enumerate(value if where.items is not None else ()):
            yield from places(where.items, item, (*at, index))  # type: ignore[arg-type]
    elif isinstance(value, dict):
        for name, member in value.items():
            below = where.members.get(name, where.others)
            if below is not None:
                yield from places(below, member, (*at, name))


def replaced(value: Any, pointer: Pointer, new: Any) -> Any:
    """Give the value with another one at the pointer; lists and objects on the way are changed in place.

    Raises:
        LookupError, TypeError: the pointer leads nowhere.
    """
    if not pointer:
        return new
    holder = at(value, pointer[:-1])
    holder[_step(holder, pointer[-1])] = new
    return value


def at(value: Any, pointer: Pointer) -> Any:
    """Give what stands at the pointer.

    Raises:
        LookupError, TypeError: the pointer leads nowhere.
    """
    for step in pointer:
        value = value[_step(value, step)]
    return value


def _step(holder: Any, step: str | int) -> Any:
    # some senders write list indexes as text
    return int(step) if isinstance(holder, list) else step


class _Reader:
    """Reads one document. A schema comes from a model, so it may be anything: references are followed, but not into
    themselves, and only so many rules are read.
    """

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas
        self._left = RULES_LIMIT

    def read(self, rule: Any, seen: frozenset[str] = frozenset()) -> Place | None:
        """`seen` are the references on the way here."""
        self._left -= 1
        if not isinstance(rule, dict) or self._left < 0:
            return None
        members = {name: self.read(member, seen) for name, member in _object(rule.get("properties")).items()}
        others = self.read(rule.get("additionalProperties"), seen)
        found: Place | None = Place(
            is_file=rule.get("type") == "string" and rule.get("format") == "uri",
            members={name: place for name, place in members.items() if place is not None or others is not None},
            others=others,
            items=self.read(rule.get("items"), seen),
        )
        for union in _UNIONS:
            parts = rule.get(union)
            for part in parts if isinstance(parts, list) else ():
                found = _joined(found, self.read(part, seen))
        name = str(rule.get("$ref", "")).removeprefix(_REFERENCE)
        if name in self._schemas and name not in seen:
            found = _joined(found, self.read(self._schemas[name], seen | {name}))
        return found if found and found != Place() else None


def _joined(one: Place | None, other: Place | None) -> Place | None:
    """What a value can hold that may be either."""
    if one is None or other is None:
        return one or other
    names = one.members | other.members
    return Place(
        is_file=one.is_file or other.is_file,
        members={name: _joined(one.members.get(name), other.members.get(name)) for name in names},
        others=_joined(one.others, other.others),
        items=_joined(one.items, other.items),
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
