"""Finds the places of files in an input, read from a version's schema once."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

Pointer = tuple[str | int, ...]
"""The place of a value inside a JSON value: member names and list indexes from the top."""

RULES_LIMIT: Final = 10_000  # of one input's schema; one written by hand has some dozens
_REFERENCE: Final = "#/components/schemas/"
_UNIONS: Final = ("anyOf", "oneOf", "allOf")
_SHAPED: Final = frozenset({"type", "properties", "items", "enum", "$ref", *_UNIONS})
_LINK: Final = re.compile(r"https?://|data:[\w.+-]*/?[\w.+-]*(?:;[^,;\s]*)*,", re.IGNORECASE)


class FilePosition(msgspec.Struct):
    """What a value can contain under a rule: itself a file, or files below it. A rule without files has no position."""

    is_file: bool = False
    any_text: bool = False  # besides a file also any other text, as in `Union[Path, str]`
    texts: frozenset[str] = frozenset()  # texts that are not files of a caller: defaults and choices
    members: dict[str, "FilePosition | None"] = {}
    others: "FilePosition | None" = (
        None  # the members of an object that are not named; then all named ones are in `members`
    )
    items: "FilePosition | None" = None


def file_places(schema: Mapping[str, Any]) -> FilePosition | None:
    """Find from an OpenAPI document where its Input can contain files, at every level that it describes.

    A file is a string with `format: uri`. A URL in any other string is text, and so is everything in an object whose
    members the schema does not describe.
    """
    try:
        schemas = schema["components"]["schemas"]
        return _Reader(schemas).read(schemas["Input"])
    except (KeyError, TypeError, RecursionError):
        return None


def read_places(openapi_schema: bytes) -> FilePosition | None:
    """The same from an encoded document; None for one that cannot be read."""
    try:
        schema = msgspec.json.decode(openapi_schema)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return file_places(schema) if isinstance(schema, dict) else None


def output_places(openapi_schema: bytes) -> FilePosition | None:
    """Where the Output of an encoded OpenAPI document can contain files."""
    try:
        schemas = msgspec.json.decode(openapi_schema)["components"]["schemas"]
        return _Reader(schemas).read(schemas["Output"])
    except (KeyError, TypeError, RecursionError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def places(where: FilePosition, value: Any, at: Pointer = ()) -> Iterator[tuple[Pointer, str]]:
    """Yield each string in the position of a file, with its place."""
    if isinstance(value, str):
        if where.is_file and not ((where.any_text or value in where.texts) and not is_link(value)):
            yield at, value
    elif isinstance(value, list):
        for index, item in enumerate(value if where.items is not None else ()):
            yield from places(where.items, item, (*at, index))  # type: ignore[arg-type]
    elif isinstance(value, dict):
        for name, member in value.items():
            below = where.members.get(name, where.others)
            if below is not None:
                yield from places(below, member, (*at, name))


def is_link(text: str) -> bool:
    """Whether a text that may be plain text is a link: one word that begins like a link."""
    begins = _LINK.match(text)
    if begins is None:
        return False
    # some programs break the lines of base64
    return begins.group().lower().endswith(";base64,") or len(text.split(maxsplit=1)) == 1


def _replaced(value: Any, pointer: Pointer, new: Any) -> Any:
    """Return the value with another one at the pointer; lists and objects on the way are changed in place.

    Raises:
        LookupError, TypeError: there is nothing at the pointer.
    """
    if not pointer:
        return new
    holder = at(value, pointer[:-1])
    holder[_step(holder, pointer[-1])] = new
    return value


def with_texts(value: bytes | msgspec.Raw, texts: Iterable[tuple[Pointer, str]]) -> bytes:
    """Return the JSON value with other texts at these places.

    Raises:
        LookupError, TypeError: there is nothing at a pointer.
    """
    decoded = msgspec.json.decode(value)
    for pointer, text in texts:
        decoded = _replaced(decoded, pointer, text)
    return msgspec.json.encode(decoded)


def at(value: Any, pointer: Pointer) -> Any:
    """Return the value at the pointer.

    Raises:
        LookupError, TypeError: there is nothing at the pointer.
    """
    for step in pointer:
        value = value[_step(value, step)]
    return value


def _step(holder: Any, step: str | int) -> Any:
    # some senders write list indexes as text
    return int(step) if isinstance(holder, list) else step


class _Reader:
    """Reads one document. A schema comes from a model, so it may be anything: circular references are not followed, and
    the number of rules is limited.
    """

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas
        self._left = RULES_LIMIT

    def read(self, rule: Any, seen: frozenset[str] = frozenset()) -> FilePosition | None:
        """`seen` are the references that led here."""
        found = self._whole(rule, seen)
        return found if found.is_file or found.members or found.others or found.items else None

    def _whole(self, rule: Any, seen: frozenset[str]) -> FilePosition:
        self._left -= 1
        if not isinstance(rule, dict) or self._left < 0:
            return FilePosition()
        members = {name: self.read(member, seen) for name, member in _object(rule.get("properties")).items()}
        others = self.read(rule.get("additionalProperties"), seen)
        is_file = rule.get("type") == "string" and rule.get("format") == "uri"
        items = self.read(rule.get("items"), seen)
        if items is not None and isinstance(rule.get("default"), list):
            items.texts |= _texts(rule["default"])
        found = FilePosition(
            is_file=is_file,
            any_text=not is_file and _takes_text(rule),
            texts=_texts([rule.get("default")]) | _texts(rule.get("enum")),
            members={name: place for name, place in members.items() if place is not None or others is not None},
            others=others,
            items=items,
        )
        for union in _UNIONS:
            parts = rule.get(union)
            for part in parts if isinstance(parts, list) else ():
                found = _joined(found, self._whole(part, seen))
        name = str(rule.get("$ref", "")).removeprefix(_REFERENCE)
        if name in self._schemas and name not in seen:
            found = _joined(found, self._whole(self._schemas[name], seen | {name}))
        return found


def _joined(one: FilePosition, other: FilePosition) -> FilePosition:
    """What a value can contain if either rule may apply."""
    names = one.members | other.members
    return FilePosition(
        is_file=one.is_file or other.is_file,
        any_text=one.any_text or other.any_text,
        texts=one.texts | other.texts,
        members={name: _either(one.members.get(name), other.members.get(name)) for name in names},
        others=_either(one.others, other.others),
        items=_either(one.items, other.items),
    )


def _either(one: FilePosition | None, other: FilePosition | None) -> FilePosition | None:
    return one or other if one is None or other is None else _joined(one, other)


def _takes_text(rule: Mapping[str, Any]) -> bool:
    """Whether any text is valid: a rule without conditions accepts everything."""
    return rule.get("type") == "string" and "enum" not in rule if "type" in rule else not _SHAPED & rule.keys()


def _texts(values: Any) -> frozenset[str]:
    return frozenset(value for value in values if isinstance(value, str)) if isinstance(values, list) else frozenset()


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
