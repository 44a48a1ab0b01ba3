"""The values of an enum, and the texts that stand for them in a form."""

import json
from collections.abc import Mapping
from typing import Any, Final

from halley.web.forms.fields import Option

_LISTED: Final = 500


def options_of(rule: Mapping[str, Any]) -> tuple[Option, ...]:
    """The options of `enum`, `const`, or a `oneOf` of constants with titles; empty if the rule is something else."""
    values = _values(rule)
    if not values or len(values) > _LISTED:
        return ()
    plain = [value if isinstance(value, str) else json_text(value) for _, value in values]
    if len(set(plain)) < len(plain) or any(not _survives(text) for text in plain):
        plain = [json_text(value) for _, value in values]
    labels = [label or _shown(value) for label, value in values]
    return tuple(
        Option(text=text, label=label, value=value)
        for text, label, (_, value) in zip(plain, labels, values, strict=True)
    )


def json_text(value: Any) -> str:
    """The value as JSON; equal texts mean equal values of the same type."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)  # integers of any size, which msgspec refuses


def _values(rule: Mapping[str, Any]) -> list[tuple[str, Any]]:
    listed = rule.get("enum")
    if isinstance(listed, list):
        return [("", value) for value in _different(listed)]
    if "const" in rule:
        return [("", rule["const"])]
    for word in ("oneOf", "anyOf"):
        parts = rule.get(word)
        if isinstance(parts, list) and len(parts) > 1 and all(isinstance(p, dict) and "const" in p for p in parts):
            return [(p["title"] if isinstance(p.get("title"), str) else "", p["const"]) for p in parts]
    return []


def _different(values: list[Any]) -> list[Any]:
    return list({json_text(value): value for value in values}.values())


def _survives(text: str) -> bool:
    """Whether a browser sends the text of an option as it is, and it does not mean "not chosen"."""
    return bool(text.strip()) and "\r" not in text and "\n" not in text


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value.strip() else json_text(value)
