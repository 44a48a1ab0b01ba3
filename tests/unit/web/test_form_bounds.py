"""A posted form costs a bounded number of steps, whatever it contains."""

from typing import Any

import pytest

from halley.web.forms.names import press, read_pairs
from halley.web.forms.posted import JsonReader, read_json
from halley.web.forms.schema import read_form
from halley.web.forms.view import input_from, state_of_post


def document(schema: Any, **more: Any) -> dict[str, Any]:
    return {"components": {"schemas": {"Input": schema}}, **more}


def test_only_the_first_pressed_buttons_count() -> None:
    pairs = [("add.list", "1")] * 5000
    top = read_pairs(pairs)
    press(top, pairs)
    assert len(top.below["list"].below) < 10  # each looks at all items before it


def test_names_far_below_the_form_are_ignored() -> None:
    top = read_pairs([("input" + ".a" * 31, "x"), ("input.a.b", "y")])
    assert list(top.below["a"].below) == ["b"]
    assert top.below["a"].below["b"].below == {}


@pytest.mark.parametrize(
    "text", ["[" + "1," * 50_000 + "1]", "[" + "[[[]]]," * 20_000 + "1]", "[" + "{}," * 30_000 + "1]"]
)
def test_values_of_a_text_are_counted_before_they_are_made(text: str) -> None:
    with pytest.raises(ValueError, match="at most 50,000 values"):
        read_json(text)
    assert len(read_json(text[: len(text) // 4].rpartition(",")[0] + "]")) > 1000


def test_all_texts_of_a_form_have_so_many_values_together() -> None:
    form = read_form(document({"properties": {name: {"type": "object"} for name in "abcdef"}}))
    text = '{"a": [' + "1," * 15_000 + "1]}"
    _, faults = input_from(form, state_of_post(form, [(f"input.{name}", text) for name in "abcdef"]))
    assert [fault.path for fault in faults] == [("d",), ("e",), ("f",)]
    assert read_json('"' + "[," * 60_000 + '"')  # in a string they are no values
    texts = JsonReader()
    texts.read('"' + "," * 40_000 + '"')
    assert len(texts.read("[" + "1," * 20_000 + "1]")) == 20_001


def test_a_name_that_comes_twice_is_refused() -> None:
    for text in ('{"a": 1, "a": 2}', '{"a": {"b": 1, "\\u0062": 2}}', '[{"a": {}}, {"a": {}, "a": {}}]'):
        with pytest.raises(ValueError, match="the same name twice"):
            read_json(text)
    assert read_json('{"a": "{\\"b\\": 1, \\"b\\": 2}", "c": {"a": 1}}')
