"""Which control an input gets, and what is shown first."""

from typing import Any

import pytest

from halley.web.forms.schema import DEPTH, FIELDS, INPUTS, read_form
from halley.web.forms.view import input_from, state_of_input, state_of_post, view_of


def form_of(properties: Any, required: Any = (), **more: Any) -> Any:
    rule = {"type": "object", "properties": properties, "required": list(required)}
    return read_form({"components": {"schemas": {"Input": rule, **more.pop("schemas", {})}}, **more})


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        ({"type": "string"}, "string"),
        ({"type": "string", "maxLength": 5000}, "text"),
        ({"type": "string", "format": "uri"}, "file"),
        ({"type": "string", "format": "password"}, "secret"),
        ({"type": "string", "format": "date"}, "date"),
        ({"type": "string", "format": "date-time"}, "datetime"),
        ({"type": "integer"}, "integer"),
        ({"type": ["number", "null"]}, "number"),
        ({"type": "boolean", "nullable": True}, "boolean"),
        ({"allOf": [{"$ref": "#/components/schemas/style"}]}, "enum"),
        ({"oneOf": [{"const": 1, "title": "One"}, {"const": 2}]}, "enum"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer"),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "union"),
        ({"type": "array", "items": {"type": "string"}}, "array"),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, "object"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "dict"),
        ({"type": "object"}, "json"),
        ({"type": "array"}, "json"),
        ({}, "json"),
        ({"$ref": "#/components/schemas/loop"}, "json"),
        ({"$ref": "https://example.com/schema"}, "json"),
    ],
)
def test_each_rule_has_its_control(rule: Any, kind: str) -> None:
    schemas = {"style": {"enum": ["day", "night"]}, "loop": {"$ref": "#/components/schemas/loop"}}
    assert form_of({"a": rule}, schemas=schemas).fields[0].kind == kind


def test_order_labels_and_what_is_shown_first() -> None:
    properties = {
        "late": {"type": "string", "x-order": 2},
        "needed": {"type": "string", "x-order": 1},
        "seed": {"type": "integer", "x-order": 0},
        "debug": {"type": "boolean"},
    }
    form = form_of(properties, ["needed"])
    assert [field.name for field in form.fields] == ["seed", "needed", "late", "debug"]
    sections = view_of(form, state_of_input(form, {})).sections
    assert [[one.name for one in section.controls] for section in sections] == [
        ["input.needed"],
        ["input.seed", "input.late", "input.debug"],
    ]
    assert [section.is_open for section in sections] == [True, False]
    busy = view_of(form, state_of_input(form, {"late": "x"})).sections
    assert busy[1].is_open
    arranged = form_of(properties, ["needed"], **{"x-halley-form": {"order": ["late"], "hidden": ["debug", "needed"]}})
    assert arranged.first == {"late", "needed"}
    assert arranged.hidden == {"debug"}
    shown = [
        one.name for section in view_of(arranged, state_of_input(arranged, {})).sections for one in section.controls
    ]
    assert shown == ["input.late", "input.needed", "input.seed"]
    kept = view_of(arranged, state_of_input(arranged, {"debug": False})).sections
    assert "input.debug" in [one.name for section in kept for one in section.controls]


def test_a_schema_without_end_gives_a_bounded_form() -> None:
    member = {"$ref": "#/components/schemas/Node"}
    node = {"type": "object", "properties": {f"m{number}": member for number in range(30)}}
    form = form_of({"node": member}, schemas={"Node": node})

    def count(field: Any, depth: int = 0) -> int:
        assert depth <= DEPTH
        return 1 + sum(count(below, depth + 1) for below in field.members)

    assert count(form.fields[0]) <= 2 * FIELDS


def test_members_that_the_schema_does_not_name_are_kept() -> None:
    rule = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": True}
    form = read_form({"components": {"schemas": {"Input": rule}}})
    assert view_of(form, state_of_input(form, {"a": 1})).has_extra
    state = state_of_post(form, [("input.a", "1"), ("extra", '{"b": 2, "a": 3}')])
    assert input_from(form, state) == ({"a": 1, "b": 2}, ())
    broken = state_of_post(form, [("input.a", "1"), ("extra", "[2]")])
    _, faults = input_from(form, broken)
    assert [(one.anchor, broken.extra) for one in view_of(form, broken, faults).problems] == [("extra", "[2]")]


def test_a_fault_is_shown_at_the_nearest_control() -> None:
    form = form_of(
        {
            "a": {"type": "object", "properties": {"b.c": {"type": "integer"}}},
            "l": {"type": "array", "items": {"type": "integer"}},
        }
    )
    state = state_of_post(form, [("input.a.b%2Ec", "x"), ("input.l.0", ""), ("input.l.1", "y")])
    assert input_from(form, state)[0] == {"a": {"b.c": "x"}, "l": ["y"]}
    faults = [
        ("input.a.b.c", "no integer"),
        ("input.l.0", "no integer"),
        ("input.a.unknown", "odd"),
        ("nowhere", "bad"),
    ]
    view = view_of(form, state, faults)
    assert [(one.anchor, one.text) for one in view.problems] == [
        ("", "bad"),
        ("input.a", "odd"),
        ("input.a.b%2Ec", "no integer"),
        ("input.l.1", "no integer"),
    ]


def test_of_very_many_inputs_the_last_ones_are_written_as_json() -> None:
    form = form_of({f"in_{number}": {"type": "integer"} for number in range(INPUTS + 9)}, ["in_508"])
    value = {"in_0": 1, "in_508": 2}
    state = state_of_input(form, value)
    assert '"in_508": 2' in state.extra
    assert input_from(form, state) == (value, ())


def test_a_union_of_itself_alone_has_a_form() -> None:
    own = {"$ref": "#/components/schemas/A"}
    other = {"$ref": "#/components/schemas/B"}
    for schemas in (
        {"A": {"oneOf": [own]}},
        {"A": {"anyOf": [other, {"type": "null"}]}, "B": {"anyOf": [own, {"type": "null"}]}},
    ):
        (field,) = form_of({"a": own}, schemas=schemas).fields
        assert field.name == "a"
