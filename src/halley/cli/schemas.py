"""Reads the inputs and the output type from a version's OpenAPI document."""

from __future__ import annotations

from typing import Any

from halley.cli.client import Json


def input_properties(schema: Any) -> Json | None:
    """Find the properties of `Input` in a version's OpenAPI document; None if there are none."""
    try:
        properties = schema["components"]["schemas"]["Input"]["properties"]
    except (KeyError, TypeError):
        return None
    return {key: _resolved(item, schema) for key, item in properties.items()} if isinstance(properties, dict) else None


def is_text_stream(schema: Any) -> bool:
    """Whether the output is text in pieces that belong together."""
    try:
        return bool(schema["components"]["schemas"]["Output"].get("x-cog-array-display") == "concatenate")
    except (KeyError, TypeError, AttributeError):
        return False


def kinds_of(schema: Any) -> set[str]:
    """Return the JSON types that an input accepts, without null; empty if unknown."""
    if not isinstance(schema, dict):
        return set()
    found = schema.get("type")
    own = {found} if isinstance(found, str) else set(found) if isinstance(found, list) else set()
    return own.union(*map(kinds_of, _variants(schema))) - {"null"}


def takes_files(schema: Any) -> bool:
    """Whether an input accepts the URL of a file."""
    if not isinstance(schema, dict):
        return False
    return schema.get("format") == "uri" or any(map(takes_files, _variants(schema)))


def takes_text(schema: Any) -> bool:
    """Whether an input accepts any text, besides or instead of a file."""
    if not isinstance(schema, dict):
        return False
    own = schema.get("type") == "string" and schema.get("format") != "uri"
    return own or any(map(takes_text, _variants(schema)))


def _variants(schema: Json) -> list[Any]:
    return [part for word in ("anyOf", "oneOf", "allOf") for part in schema.get(word) or [] if isinstance(part, dict)]


def _resolved(item: Any, document: Any) -> Any:
    # choices are `allOf: [{$ref: "#/components/schemas/<name>"}]`, always one level deep (contract section 10.2)
    if not isinstance(item, dict):
        return item
    result = dict(item)
    parts = result.get("allOf") or []
    result["allOf"] = [
        document["components"]["schemas"].get(part["$ref"].rpartition("/")[2], {})
        if isinstance(part, dict) and isinstance(part.get("$ref"), str)
        else part
        for part in parts
    ]
    return result
