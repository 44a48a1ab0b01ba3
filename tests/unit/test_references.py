"""Schemas as the official clients can read them."""

from typing import Any

import msgspec
import pytest

from halley.api.presentation import references
from halley.api.presentation.references import ReadableSchemas, readable


def document(**schemas: Any) -> bytes:
    body = {"$ref": "#/components/schemas/Input"}
    return msgspec.json.encode({"paths": {"/x": body}, "components": {"schemas": {"Input": {}, **schemas}}})


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def inlined(node: Any, schemas: dict[str, Any]) -> Any:
    """As the Python 2 client does it: without a guard against circles, and only one level deep."""
    if isinstance(node, list):
        return [inlined(item, schemas) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = node["$ref"].removeprefix("#/components/schemas/")
        assert "/" not in name
        return inlined(schemas[name], schemas) if name in schemas else node
    return {key: inlined(item, schemas) for key, item in node.items()}


@pytest.mark.parametrize(
    "schemas",
    [
        {"Output": ref("Tree"), "Tree": {"properties": {"kids": {"items": ref("Tree")}, "name": {"type": "string"}}}},
        {"A": {"p": ref("B")}, "B": {"q": [ref("C"), ref("A")]}, "C": {"r": ref("B")}, "Output": ref("C")},
        {"Output": ref("X/properties/a"), "X": {"properties": {"a": {"type": "string"}}}},
        {"Output": {"$ref": "#/components/schemas/Output"}},
        {f"N{number}": {"next": ref(f"N{(number + 1) % 3000}")} for number in range(3000)},
    ],
    ids=["itself", "two circles", "into", "only itself", "long"],
)
def test_what_clients_cannot_follow_accepts_everything(schemas: dict[str, Any]) -> None:
    given = document(**schemas)
    shown = msgspec.json.decode(readable(given))
    found = shown["components"]["schemas"]
    assert found.keys() == {"Input", *schemas}
    if len(found) < 100:
        inlined(shown, found)
    assert readable(given) != given
    assert readable(msgspec.json.encode(shown)) == msgspec.json.encode(shown)


@pytest.mark.parametrize("place", ["root", "components"])
def test_a_document_that_is_a_reference_itself_keeps_its_schemas(place: str) -> None:
    found = msgspec.json.decode(document(Output=ref("X/properties/a"), X={"type": "object"}))
    (found if place == "root" else found["components"]).update(ref("X/y"))
    shown = msgspec.json.decode(readable(msgspec.json.encode(found)))
    assert shown["components"]["schemas"] == {"Input": {}, "Output": {}, "X": {"type": "object"}}
    assert shown["paths"] == found["paths"]


@pytest.mark.parametrize(
    "given",
    [
        document(Output=ref("K"), K={"enum": ["a"]}, Other={"p": [ref("K"), ref("None")]}),
        b'{"openapi":"3.0.2","components":{"schemas":{"Input":{"default":{"$ref":5}}}}, "a":1.50}',
        b'{"components":{"schemas":["$ref"]}}',
        b'"$ref"',
    ],
)
def test_all_others_stay_byte_for_byte(given: bytes) -> None:
    assert readable(given) == given


def test_unchanged_documents_are_read_once_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a list of many models: each page reads the same documents in the same order."""
    reads = counted_reads(monkeypatch)
    schemas = ReadableSchemas()
    given = [document(Output=ref("K"), K={"title": f"K {number}"}) for number in range(300)]
    for _ in range(3):
        assert [schemas.readable(bytes(bytearray(one))) for one in given] == given
    assert (len(reads), schemas.held_bytes, schemas.unchanged_count) == (300, 0, 300)


def test_rewritten_documents_are_kept_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = counted_reads(monkeypatch)
    schemas = ReadableSchemas(most_unchanged=2, rewritten_bytes=10_000)
    small, large = (document(Output=ref("Output"), K={"title": "x" * size}) for size in (3000, 20_000))
    first = schemas.readable(small)
    assert (schemas.readable(small) is first, len(reads)) == (True, 1)
    assert (schemas.readable(large) == schemas.readable(large), len(reads)) == (True, 3)  # too large to keep
    for number in range(20):
        schemas.readable(document(Output=ref("Output"), K={"title": f"{number:3000}"}))
        assert schemas.held_bytes <= 10_000
    for number in range(20):
        schemas.readable(document(Output=ref("K"), K={"title": f"{number}"}))
        assert schemas.unchanged_count <= 2


def counted_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the documents that are read from now on."""
    reads: list[int] = []
    read = references._rewritten
    monkeypatch.setattr(references, "_rewritten", lambda given: reads.append(len(given)) or read(given))
    return reads
