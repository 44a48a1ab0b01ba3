"""Where files can be in an input, read from a version's schema once."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

Pointer = tuple[str | int, ...]
"""Where a value sits inside a JSON value: member names and list indexes from the top."""

EACH: Final = "*"


def uri_pointers(schema: dict[str, Any]) -> tuple[Pointer, ...]:
    """List the members of `components.schemas.Input` that are files: `("image",)`, or `("images", "*")` for lists.

    Only Cog's shapes count: a string with `format: uri`, an array of those, each perhaps nullable. A URL in any other
    string is text.
    """
    try:
        properties = schema["components"]["schemas"]["Input"]["properties"]
    except (KeyError, TypeError):
        return ()
    if not isinstance(properties, dict):
        return ()
    found: list[Pointer] = []
    for name, rule in properties.items():
        if _is_uri(rule):
            found.append((name,))
        elif any(shape.get("type") == "array" and _is_uri(shape.get("items")) for shape in _shapes(rule)):
            found.append((name, EACH))
    return tuple(found)


def read_pointers(openapi_schema: bytes) -> tuple[Pointer, ...]:
    """Read the pointers from an encoded OpenAPI document; none from one that cannot be read."""
    try:
        schema = msgspec.json.decode(openapi_schema)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()
    return uri_pointers(schema) if isinstance(schema, dict) else ()


def places(pointers: tuple[Pointer, ...], value: dict[str, Any]) -> Iterator[tuple[Pointer, Any]]:
    """Give each value that stands in a position of a file, with its exact place; missing and null ones are left out."""
    for name, *each in pointers:
        member = value.get(str(name))
        if each and isinstance(member, list):
            yield from (((name, at), item) for at, item in enumerate(member) if item is not None)
        elif member is not None and not each:
            yield (name,), member


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


def _is_uri(rule: object) -> bool:
    return any(shape.get("type") == "string" and shape.get("format") == "uri" for shape in _shapes(rule))


def _shapes(rule: object) -> list[dict[str, Any]]:
    """Give the rule, or the alternatives of a union."""
    if not isinstance(rule, dict):
        return []
    union = rule.get("anyOf")
    return [shape for shape in union if isinstance(shape, dict)] if isinstance(union, list) else [rule]
