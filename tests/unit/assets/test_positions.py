"""Where files can be in an input."""

import pytest

from halley.assets.positions import at, places, read_pointers, replaced, uri_pointers

URI = {"type": "string", "format": "uri"}


def test_files_and_lists_of_files_are_found_and_nothing_else() -> None:
    properties = {
        "image": URI,
        "mask": {**URI, "nullable": True},
        "images": {"type": "array", "items": URI},
        "either": {"anyOf": [URI, {"type": "null"}]},
        "many": {"anyOf": [{"type": "array", "items": URI}, {"type": "null"}]},
        "prompt": {"type": "string"},
        "words": {"type": "array", "items": {"type": "string"}},
        "size": {"allOf": [{"$ref": "#/components/schemas/size"}]},
        "odd": True,
        "odder": {"type": "array", "items": True},
    }
    schema = {"components": {"schemas": {"Input": {"properties": properties}}}}
    assert uri_pointers(schema) == (("image",), ("mask",), ("images", "*"), ("either",), ("many", "*"))


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"{}", b'{"components":{"schemas":{"Input":{"properties":[]}}}}', b"\xff"]
)
def test_a_document_without_a_usable_input_names_no_files(document: bytes) -> None:
    assert read_pointers(document) == ()


def test_values_in_file_positions_are_given_with_their_place() -> None:
    pointers = (("image",), ("images", "*"), ("absent",), ("mask",))
    value = {"image": "a", "images": ["b", None, "c"], "mask": None, "prompt": "https://x/"}
    assert list(places(pointers, value)) == [(("image",), "a"), (("images", 0), "b"), (("images", 2), "c")]
    assert list(places(pointers, {"images": "not a list"})) == []


def test_a_value_is_replaced_where_the_pointer_leads() -> None:
    assert replaced("a", (), "b") == "b"
    assert replaced({"x": ["a", {"y": "b"}]}, ("x", "1", "y"), "c") == {"x": ["a", {"y": "c"}]}
    assert at({"0": ["a"]}, ("0", 0)) == "a"
    for pointer in (("z", "y"), ("x", 9), ("x", "q")):
        with pytest.raises((LookupError, ValueError)):
            at({"x": ["a"]}, pointer)
