"""Where files can be in an input."""

from typing import Any

import pytest

from halley.assets.positions import Pointer, at, file_places, places, read_places, with_texts

URI = {"type": "string", "format": "uri"}
TEXT = {"type": "string"}


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def found(properties: dict[str, Any], value: dict[str, Any], **schemas: Any) -> dict[Pointer, str]:
    """What stands in file positions of this value."""
    where = file_places({"components": {"schemas": {"Input": {"properties": properties}, **schemas}}})
    return {} if where is None else dict(places(where, value))


@pytest.mark.parametrize(
    ("rule", "value", "at"),
    [
        (URI, "a", [()]),
        ({**URI, "nullable": True}, "a", [()]),
        ({"type": "array", "items": URI}, ["a", None, "c"], [(0,), (2,)]),
        ({"anyOf": [URI, {"type": "null"}]}, "a", [()]),
        ({"anyOf": [{"type": "array", "items": URI}, {"type": "null"}]}, ["a"], [(0,)]),
        ({"anyOf": [URI, {"type": "object", "properties": {"image": URI}}]}, {"image": "a"}, [("image",)]),
        ({"type": "object", "additionalProperties": URI}, {"one": "a", "two": "b"}, [("one",), ("two",)]),
        ({"type": "object", "properties": {"image": URI, "note": TEXT}}, {"image": "a", "note": "b"}, [("image",)]),
        (
            {"type": "object", "properties": {"note": TEXT}, "additionalProperties": URI},
            {"note": "a", "image": "b"},
            [("image",)],
        ),
        ({"type": "array", "items": {"type": "array", "items": URI}}, [["a"], [], ["b"]], [(0, 0), (2, 0)]),
        (
            {
                "type": "array",
                "items": {"type": "object", "properties": {"scenes": {"items": {"allOf": [ref("scene")]}}}},
            },
            [{"scenes": [{"image": "a"}, {}]}, {"scenes": None}],
            [(0, "scenes", 0, "image")],
        ),
    ],
)
def test_files_are_found_at_every_level(rule: Any, value: Any, at: list[Pointer]) -> None:
    scene = {"type": "object", "properties": {"image": URI, "words": TEXT}}
    assert list(found({"given": rule}, {"given": value}, scene=scene)) == [("given", *place) for place in at]


@pytest.mark.parametrize(
    "rule",
    [
        TEXT,
        {"type": "array", "items": TEXT},
        {"type": "object"},
        True,
        {"type": "array", "items": True},
        {"$ref": "#/x"},
        [],
    ],
)
def test_a_link_in_any_other_place_is_text(rule: Any) -> None:
    assert found({"given": rule}, {"given": "https://x/a.png"}) == {}
    assert found({"given": rule}, {"given": ["https://x/a.png"]}) == {}
    assert found({"given": rule}, {"given": {"image": "https://x/a.png"}}) == {}


def test_a_schema_that_leads_into_itself_or_explodes_is_read_in_the_end() -> None:
    tree = {"properties": {"image": URI, "child": ref("tree")}}
    given = {"image": "a", "child": {"image": "b"}}
    assert list(found({"tree": ref("tree")}, {"tree": given}, tree=tree)) == [("tree", "image")]
    twice = {str(n): {"anyOf": [ref(str(n + 1))] * 2} for n in range(40)}
    assert found({"image": URI, "bomb": ref("0")}, {"image": "a"}, **twice) == {("image",): "a"}


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"{}", b'{"components":{"schemas":{"Input":{"properties":[]}}}}', b"\xff"]
)
def test_a_document_without_a_usable_input_names_no_files(document: bytes) -> None:
    assert read_places(document) is None


def test_an_invalid_value_is_left_to_the_validator() -> None:
    assert found({"images": {"type": "array", "items": URI}}, {"images": "not a list", "mask": "https://x/"}) == {}


def test_a_value_is_replaced_where_the_pointer_leads() -> None:
    assert with_texts(b'"a"', [((), "b")]) == b'"b"'
    assert with_texts(b'{"x":["a",{"y":"b"}]}', [(("x", "1", "y"), "c"), (("x", 0), "d")]) == b'{"x":["d",{"y":"c"}]}'
    assert at({"0": ["a"]}, ("0", 0)) == "a"
    for pointer in (("z", "y"), ("x", 9), ("x", "q")):
        with pytest.raises((LookupError, ValueError)):
            at({"x": ["a"]}, pointer)
