"""Removes rules from a model's schemas that would be tried twice at every level of a nested value.

A union of two classes that both contain the union again is such a rule: a value that matches neither is tried in both
ways at each of its levels, so that every level doubles the work; with 64 levels it never ends. So a rule with two ways
back to its own schema accepts everything here: the model's process checks its inputs, too, within its own time limit.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

_PREFIX: Final = "#/components/schemas/"
_UNIONS: Final = ("anyOf", "oneOf")
_SINGLE: Final = ("not", "if", "then", "else", "contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties")
_MAPS: Final = ("patternProperties", "dependentSchemas")
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_ELSEWHERE: Final = ""  # stands for a reference that does not name a schema
_ANY_TYPE: Final = ""


def without_double_recursion(schemas: Mapping[str, Any]) -> dict[str, Any]:
    """The same schemas, but every rule that leads back to its own schema in two ways accepts everything."""
    reached = _reached(schemas)
    cut = {}
    for name, rule in schemas.items():
        back = {other for other, found in reached.items() if name in found or _ELSEWHERE in found}
        cut[name] = _Cutter(schemas, frozenset({*back, name, _ELSEWHERE})).cut(rule)
    return cut


class _Cutter:
    """Works on one schema; `back` are the names of schemas that lead back to it."""

    def __init__(self, schemas: Mapping[str, Any], back: frozenset[str]) -> None:
        self._schemas = schemas
        self._back = back

    def cut(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.cut(item) for item in node]
        if not isinstance(node, dict):
            return node
        if self._ways(node) > 1:
            return {}
        return {key: self._cut_members(item) if key == "properties" else self.cut(item) for key, item in node.items()}

    def _cut_members(self, members: Any) -> Any:
        # a member may have the name of a keyword
        return {name: self.cut(rule) for name, rule in members.items()} if isinstance(members, dict) else members

    def _ways(self, rule: Mapping[str, Any]) -> int:
        """The number of ways in which one value, or one member of it, may lead back."""
        by_type = Counter(self._type(part) for word in _UNIONS for part in _list(rule, word) if self._leads_back(part))
        anyhow = by_type.pop(_ANY_TYPE, 0)
        # a value has one type only: the parts of a union for other types reject it at once
        return anyhow + max(by_type.values(), default=0) + sum(map(self._leads_back, _parts(rule)))

    def _type(self, part: Any) -> str:
        if isinstance(part, dict) and "type" not in part and isinstance(part.get("$ref"), str):
            part = self._schemas.get(_name(part["$ref"]))
        kind = part.get("type") if isinstance(part, dict) else None
        return kind if isinstance(kind, str) else _ANY_TYPE

    def _leads_back(self, part: Any) -> bool:
        return not self._back.isdisjoint(_names(part))


def _parts(rule: Mapping[str, Any]) -> Iterator[Any]:
    """The rules besides unions that are applied to the same value, or to the same members of it."""
    rest = {word: item for word, item in rule.items() if word not in _UNIONS}
    yield from _list(rest, "allOf")
    rest.pop("allOf", None)
    for word in _MAPS:
        named = rest.pop(word, None)
        yield from named.values() if isinstance(named, dict) else ()
    for word in (*_SINGLE, *_REFERENCES):
        if word in rest:
            yield {word: rest.pop(word)}
    yield rest


def _list(rule: Mapping[str, Any], word: str) -> list[Any]:
    listed = rule.get(word)
    return listed if isinstance(listed, list) else []


def _reached(schemas: Mapping[str, Any]) -> dict[str, set[str]]:
    """The names of schemas that each schema leads to, in any number of steps."""
    direct = {name: _names(rule) for name, rule in schemas.items()}
    reached = {}
    for name in schemas:
        found: set[str] = set()
        waiting = [name]
        while waiting:
            new = direct.get(waiting.pop(), set()) - found
            found |= new
            waiting.extend(new)
        reached[name] = found
    return reached


def _names(node: Any) -> set[str]:
    """The names of the schemas that a rule refers to."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, dict):
            found.update(_name(item[word]) for word in _REFERENCES if isinstance(item.get(word), str))
            waiting.extend(item.values())
    return found


def _name(reference: str) -> str:
    return reference.removeprefix(_PREFIX).partition("/")[0] if reference.startswith(_PREFIX) else _ELSEWHERE
