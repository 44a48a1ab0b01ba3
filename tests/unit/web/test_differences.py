"""The inputs of two predictions, compared."""

import msgspec

from halley.web.views.differences import Comparison, Side, compare


def of(left: object, right: object) -> Comparison:
    return compare(msgspec.json.encode(left), msgspec.json.encode(right))


def text(side: Side) -> str:
    return "".join(piece.text for piece in side.pieces)


def test_only_what_differs_is_marked() -> None:
    found = of({"prompt": "a", "seed": 1, "only": None}, {"seed": 2, "prompt": "a", "__proto__": {"b": 1, "a": 2}})
    assert [(row.name, row.differs) for row in found.rows] == [
        ("prompt", False), ("seed", True), ("only", True), ("__proto__", True),
    ]  # fmt: skip
    assert found.count == 3
    assert [text(row.left) for row in found.rows] == ["a", "1", "null", ""]
    assert [row.right.is_given for row in found.rows] == [True, True, False, True]


def test_the_order_of_names_does_not_matter_but_the_type_does() -> None:
    assert of({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}).count == 0
    assert of({"a": 1}, {"a": 1.0}).count == 1
    assert of({"a": 1}, {"a": True}).count == 1
    assert of({"a": [1, 2]}, {"a": [2, 1]}).count == 1


def test_words_that_differ_are_marked() -> None:
    (row,) = of({"prompt": "a misty lake at dawn"}, {"prompt": "a misty lake at dusk, wide"}).rows
    assert [piece.text for piece in row.left.pieces if piece.differs] == ["dawn"]
    assert [piece.text for piece in row.right.pieces if piece.differs] == ["dusk, wide"]
    assert text(row.right) == "a misty lake at dusk, wide"


def test_large_inputs_are_compared_without_being_decoded() -> None:
    large = {"a": "x" * 3_000_000}
    found = of(large, {"a": "x" * 3_000_001})
    assert (found.is_whole, found.count) == (False, 1)
    assert len(text(found.rows[0].left)) == 4000
    assert of(large, large).count == 0
    many = of({str(n): n for n in range(900)}, {})
    assert (len(many.rows), many.is_whole) == (500, False)


def test_long_texts_are_marked_as_a_whole() -> None:
    words = " ".join(map(str, range(1000)))
    (row,) = of({"a": words}, {"a": words + "!"}).rows
    assert [piece.differs for piece in row.left.pieces] == [True]
