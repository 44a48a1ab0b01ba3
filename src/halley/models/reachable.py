"""The schemas of an OpenAPI document that its `Input` uses: the others need not be compiled or kept."""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

_SCHEMAS: Final = "#/components/schemas/"
_ELSEWHERE: Final = frozenset({"$dynamicRef", "$recursiveRef", "$id", "$anchor", "$dynamicAnchor"})


def reachable(schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    """`Input` and what it refers to, directly or not; all of them if a reference may lead anywhere else."""
    found = {"Input"}
    waiting = ["Input"]
    while waiting:
        for reference in _references(schemas[waiting.pop()]):
            name = _name(reference)
            if name is None or name not in schemas:
                return schemas
            if name not in found:
                found.add(name)
                waiting.append(name)
    return {name: rule for name, rule in schemas.items() if name in found}


def _references(rule: Any) -> Iterator[str]:
    """All references in a rule. A text that only looks like one does no harm."""
    if isinstance(rule, list):
        for item in rule:
            yield from _references(item)
    elif isinstance(rule, dict):
        for word, item in rule.items():
            if word in _ELSEWHERE:
                yield word
            elif word == "$ref" and isinstance(item, str):
                yield item
            else:
                yield from _references(item)


def _name(reference: str) -> str | None:
    """The schema that it leads to, or into; None if it does not lead to one."""
    if not reference.startswith(_SCHEMAS):
        return None
    part = unquote(reference.removeprefix(_SCHEMAS).partition("/")[0])
    return part.replace("~1", "/").replace("~0", "~")
