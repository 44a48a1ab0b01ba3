"""Where files can be in an input, read from a version's schema once."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

Pointer = tuple[str | int, ...]
"""Where a value sits inside a JSON value: member names and list indexes from the top."""

RULES_LIMIT: Final = 10_000  # of one input's schema; written by hand it has some dozens
_REFERENCE: Final = "#/components/schemas/"
_UNIONS: Final = ("anyOf", "oneOf", "allOf")
_SHAPED: Final = frozenset({"type", "properties", "items", "enum", "$ref", *_UNIONS})
_LINK: Final = re.compile(r"https?://|data:[\w.+-]*/?[\w.+-]*(?:;[^,;\s]*)*,", re.IGNORECASE)


class FilePosition(msgspec.Struct):
    """What a value of some rule can hold: itself a file, or files below it. A rule that can hold none has no place."""

    is_file: bool = False
    any_text: bool = False  # beside a file also any other text, as in `Union[Path, str]`
    texts: frozenset[str] = frozenset()  # texts that are none of a caller's files: defaults and choices
    members: dict[str, "FilePosition | None"] = {}
    others: "FilePosition | None" = (
        None  # the members of an object that are not named; then all named ones are in `members`
    )
    items: "FilePosition | None" = None


def file_places(schema: Mapping[str, Any]) -> FilePosition | None:
    """Read from an OpenAPI document where its Input can hold files, at every level that it names.

    A file is a string with `format: uri`. A URL in any other string is text, and so is all that an object holds whose
    members the schema does not know.
    """
    try:
        schemas = schema["components"]["schemas"]
        return _Reader(schemas).read(schemas["Input"])
    except (KeyError, TypeError, RecursionError):
        return None


def read_places(openapi_schema: bytes) -> FilePosition | None:
    """The same from an encoded document; nothing from one that cannot be read."""
    try:
        schema = msgspec.json.decode(openapi_schema)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return file_places(schema) if isinstance(schema, dict) else None


def places(where: FilePosition, value: Any, at: Pointer = ()) -> Iterator[tuple[Pointer, str]]:
    """Give each string that stands in the position of a file, with its exact place."""
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
    """Whether text that may be text is a link all the same: one word that begins as one."""
    begins = _LINK.match(text)
    if begins is None:
        return False
    # some programs break the lines of base64
    return begins.group().lower().endswith(";base64,") or len(text.split(maxsplit=1)) == 1


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
    """Give the value at the pointer.

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

    def read(self, rule: Any, seen: frozenset[str] = frozenset()) -> FilePosition | None:
        """`seen` are the references on the way here."""
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
    """What a value can hold that may be either."""
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
    """Whether any text fits: a rule that says nothing takes everything."""
    return rule.get("type") == "string" and "enum" not in rule if "type" in rule else not _SHAPED & rule.keys()


def _texts(values: Any) -> frozenset[str]:
    return frozenset(value for value in values if isinstance(value, str)) if isinstance(values, list) else frozenset()


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
