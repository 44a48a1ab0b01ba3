"""Resolves references, `allOf` and the ways to say "or null" in a schema. It never raises, for any schema."""

from collections.abc import Mapping
from typing import Any, Final

Schema = Mapping[str, Any]
_STEPS: Final = 32  # rules that are merged into one
_PREFIX: Final = "#/components/schemas/"
UNIONS: Final = ("oneOf", "anyOf")


def resolve(rule: Any, schemas: Schema) -> dict[str, Any]:
    """The rule with its reference and the parts of its `allOf` merged into it; its own members win."""
    return _Resolver(schemas).resolve(rule)


def reference_name(rule: Any) -> str:
    """The name of the schema that a rule refers to, or an empty text."""
    found = rule.get("$ref") if isinstance(rule, dict) else None
    return found.rpartition("/")[2] if isinstance(found, str) else ""


def text_in(rule: Schema, name: str) -> str:
    """A member that must be text; an empty text otherwise."""
    found = rule.get(name)
    return found if isinstance(found, str) else ""


def without_null(rule: dict[str, Any], schemas: Schema, steps: int = _STEPS) -> tuple[dict[str, Any], bool]:
    """The rule for values that are not null, and whether null is allowed. It goes through at most `steps` unions of one
    part: such a one may refer to itself.
    """
    nullable = rule.get("nullable") is True
    kinds = rule.get("type")
    if isinstance(kinds, list):
        others = [kind for kind in kinds if kind != "null"]
        nullable = nullable or len(others) < len(kinds)
        rule = {**rule, "type": others[0] if len(others) == 1 else others}
    for word in UNIONS:
        parts = rule.get(word)
        if isinstance(parts, list):
            others = [part for part in parts if not _is_null(resolve(part, schemas))]
            nullable = nullable or len(others) < len(parts)
            rule = {**rule, word: others}
            if len(others) == 1 and steps:
                only = resolve({**_without(rule, word), "allOf": [others[0]]}, schemas)
                inner, below = without_null(only, schemas, steps - 1)
                return inner, nullable or below
    listed = rule.get("enum")
    if isinstance(listed, list) and None in listed and len(listed) > 1:
        return {**rule, "enum": [value for value in listed if value is not None]}, True
    return rule, nullable


class _Resolver:
    """Resolves one rule, in a bounded number of steps: a schema may refer to itself in many ways."""

    def __init__(self, schemas: Schema) -> None:
        self._schemas = schemas
        self._left = _STEPS

    def resolve(self, rule: Any) -> dict[str, Any]:
        if not isinstance(rule, dict) or self._left <= 0:
            return {}
        self._left -= 1
        merged: dict[str, Any] = {}
        for part in self._parts(rule):
            merged = _merge(merged, self.resolve(part))
        return _merge(merged, {key: value for key, value in rule.items() if key not in {"allOf", "$ref"}})

    def _parts(self, rule: dict[str, Any]) -> list[Any]:
        parts = rule.get("allOf")
        listed = list(parts) if isinstance(parts, list) else []
        reference = rule.get("$ref")
        if isinstance(reference, str) and reference.startswith(_PREFIX):
            listed.append(self._schemas.get(reference.removeprefix(_PREFIX).replace("~1", "/").replace("~0", "~")))
        return listed


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = {**below, **above}
    first, second = below.get("properties"), above.get("properties")
    if isinstance(first, dict) and isinstance(second, dict):
        merged["properties"] = {**first, **second}
    one, other = below.get("required"), above.get("required")
    if isinstance(one, list) and isinstance(other, list):
        merged["required"] = [*one, *other]
    return merged


def _is_null(rule: Schema) -> bool:
    listed = rule.get("enum")
    return rule.get("type") == "null" or (isinstance(listed, list) and listed == [None])


def _without(rule: Schema, word: str) -> dict[str, Any]:
    return {key: value for key, value in rule.items() if key != word}
