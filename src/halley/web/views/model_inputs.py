"""Names and kinds of a model's inputs, from its schema: enough to vary them."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

_KINDS: Final = frozenset({"string", "integer", "number", "boolean", "array", "object"})
_STEPS: Final = 8  # of references; a schema of a model may lead in circles
_ROWS: Final = 300


class ModelInput(msgspec.Struct, frozen=True, kw_only=True):
    """An input; `kind` is its JSON type, "" if it has none or several."""

    name: str
    kind: str = ""


def inputs_of(document: Any) -> list[ModelInput]:
    """The inputs in the order of their `x-order`; none if the document has no such schema."""
    schemas = _member(_member(document, "components"), "schemas")
    properties = _member(_member(schemas, "Input"), "properties")
    if not isinstance(properties, dict):
        return []
    names = sorted(properties, key=lambda name: _order(properties[name]))[:_ROWS]
    return [ModelInput(name=name, kind=_kind(properties[name], schemas)) for name in names]


def _kind(schema: Any, schemas: Any) -> str:
    for _ in range(_STEPS):
        if not isinstance(schema, dict):
            return ""
        kind = schema.get("type")
        if isinstance(kind, str):
            return kind if kind in _KINDS else ""
        schema = _next(schema, schemas)
    return ""


def _next(schema: Mapping[str, Any], schemas: Any) -> Any:
    if isinstance(ref := schema.get("$ref"), str):
        return _member(schemas, ref.rpartition("/")[2])
    if isinstance(parts := schema.get("allOf"), list) and len(parts) == 1:
        return parts[0]
    others = [one for one in schema.get("anyOf") or () if not (isinstance(one, dict) and one.get("type") == "null")]
    return others[0] if len(others) == 1 else None


def _order(schema: Any) -> float:
    order = schema.get("x-order") if isinstance(schema, dict) else None
    return order if isinstance(order, int) else _ROWS


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None
