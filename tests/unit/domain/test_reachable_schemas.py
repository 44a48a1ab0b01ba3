"""Which schemas of a model's document are kept: those that its input uses."""

from typing import Any

import pytest

from halley.models.reachable import reachable

PREFIX = "#/components/schemas/"


def to(name: str) -> dict[str, Any]:
    return {"$ref": PREFIX + name}


def test_what_the_input_does_not_use_is_left_out() -> None:
    schemas = {
        "Input": {"properties": {"a": {"allOf": [to("A")]}, "b": {"items": to("B/properties/x")}}},
        "A": {"additionalProperties": to("c~1d%20e")},
        "B": {"properties": {"x": to("Input")}},
        "c/d e": {"type": "string"},
        "Response": {"properties": {"input": to("Input"), "status": to("Status")}},
        "Status": {"enum": ["starting"]},
    }
    assert set(reachable(schemas)) == {"Input", "A", "B", "c/d e"}


@pytest.mark.parametrize(
    "rule",
    [
        to("Missing"),
        {"$ref": "#/components/parameters/x"},
        {"$ref": "#"},
        {"$dynamicRef": "#x"},
        {"$id": "https://example.com/", "$ref": "other"},
    ],
)
def test_a_reference_that_may_lead_anywhere_keeps_all(rule: dict[str, Any]) -> None:
    schemas = {"Input": {"properties": {"a": {"anyOf": [to("A")]}}}, "A": rule, "Response": {"type": "object"}}
    assert reachable(schemas) is schemas
