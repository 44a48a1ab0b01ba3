"""The work for one request grows as its size does: twice as much may take twice as many steps, in the worst shapes.

Counted are calls of Python and C functions, so it does not matter how busy the machine is. What happens inside one C
function shows in the processor's time alone: there the bound is wide, and far below what grows with the square.
"""

import gc
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import pytest

from api.test_bounded import filled, upload
from api.world import World, schema
from halley.errors import HalleyError
from halley.models.validation import InputSchema
from halley.settings import LimitSettings
from halley.strict_json import is_deeper, is_heavy, parse, unfit

LIMITS: Final = LimitSettings()
SIZE: Final = 100_000
Shape = Callable[[int], bytes]

SHAPES: Final[dict[str, Shape]] = {
    "escapes without an end": lambda size: b'{"a":"' + b'\\"' * (size // 2),
    "backslashes": lambda size: b'{"a":"' + b"\\" * size,
    "quotes": lambda size: b'"' * size,
    "open lists": lambda size: b"[" * size,
    "open objects": lambda size: b'{"a":' * (size // 5),
    "closed lists": lambda size: b"]" * size,
    "empty objects": lambda size: b"[" + b"{}," * (size // 3) + b"{}]",
    "numbers": lambda size: b"[" + b"1," * (size // 2) + b"1]",
    "digits": lambda size: b"1" * size,
    "digits and a point": lambda size: b"[" + (b"1" * 1000 + b".,") * (size // 1002) + b"1]",
    "short texts": lambda size: b"[" + b'"",' * (size // 3) + b'""]',
    "names": lambda size: b"{" + b",".join(b'"%08d":1' % number for number in range(size // 13)) + b"}",
    "NUL": lambda size: b'["' + b"\\u0000" * (size // 6) + b'"]',
    "deep lists": lambda size: b"[" + b",".join([b"[" * 60 + b"]" * 60] * (size // 121)) + b"]",
    "minus signs": lambda size: b"[" + b"-" * size + b"]",
    "spaces": lambda size: b" " * size,
}


def steps(work: Callable[[], Any]) -> int:
    """How many functions were called."""
    count = 0

    def note(_frame: Any, event: str, _about: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    gc.collect()
    gc.disable()  # what is freed by the way, of tests before, would count as well
    sys.setprofile(note)
    try:
        quietly(work)
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


def quietly(work: Callable[[], Any]) -> None:
    try:
        work()
    except HalleyError:
        pass


def seconds(work: Callable[[], Any]) -> float:
    """The processor's time of the quickest of three."""
    took = []
    for _ in range(3):
        began = time.process_time()
        quietly(work)
        took.append(time.process_time() - began)
    return min(took)


def assert_linear(work: Callable[[bytes], Any], shape: Shape) -> None:
    half, full = shape(SIZE // 2), shape(SIZE)
    assert steps(lambda: work(full)) <= 2.2 * steps(lambda: work(half)) + 100
    assert seconds(lambda: work(full)) <= 10 * seconds(lambda: work(half)) + 0.1


@pytest.mark.parametrize("name", SHAPES)
def test_json_is_read_in_linear_time(name: str) -> None:
    for work in (lambda body: parse(body, LIMITS), is_heavy, unfit, lambda body: is_deeper(body, 64)):
        assert_linear(work, SHAPES[name])


RULES: Final = {
    "items": {"type": "array", "items": {"type": "string"}},
    "rows": {"type": "array", "items": {"type": "array", "items": {"type": "string"}, "maxItems": 1}},
    "either": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
    "some": {"type": "array", "uniqueItems": True},
    "named": {"type": "object", "patternProperties": {"^a": {"type": "string"}}, "additionalProperties": False},
}
WRONG: Final[dict[str, Callable[[int], Any]]] = {
    "a list": lambda size: {"items": [1] * size},
    "lists of lists": lambda size: {"rows": [[1] * 10] * (size // 10)},
    "one list of a list": lambda size: {"rows": [[1] * size]},
    "an either": lambda size: {"either": [1] * size},
    "what is twice there": lambda size: {"some": [*range(size), 1]},
    "patterns": lambda size: {"named": {f"a{number}": 1 for number in range(size)}},
    "names": lambda size: {"named": {f"b{number}": 1 for number in range(size)}},
}


@pytest.mark.parametrize("name", WRONG)
def test_faults_are_found_in_linear_time_and_few(name: str) -> None:
    rules = InputSchema(schema(RULES))
    half, full = WRONG[name](5_000), WRONG[name](10_000)
    quietly(lambda: rules.faults(full))  # validators are compiled once
    assert steps(lambda: rules.faults(full)) <= 2.2 * steps(lambda: rules.faults(half)) + 100
    assert seconds(lambda: rules.faults(full)) <= 10 * seconds(lambda: rules.faults(half)) + 0.1
    found = rules.faults(full)
    assert 1 <= len(found) <= 101
    assert sum(len(fault.description) + len(fault.field) for fault in found) < 101 * 700


@pytest.mark.anyio
@pytest.mark.parametrize("letter", ['"', "[", "]", "\\", ";", "=", "metadata[a]"])
async def test_a_form_is_read_in_bounded_time(letter: str) -> None:
    world: World = await filled(World())
    began = time.process_time()
    for size in (2000, 60_000):
        for part in (("metadata", letter.encode() * (size // len(letter))), (letter * (4000 // len(letter)), b"x")):
            reply = await world.post("/v1/files", **upload(part))
            assert reply.status < 500
    kind = {"Content-Type": "multipart/form-data; boundary=" + letter * (30_000 // len(letter))}
    assert (await world.post("/v1/files", b"", headers=kind)).status == 400
    assert time.process_time() - began < 5  # it takes some milliseconds


BINARY: Final = {
    "type": "object",
    "required": ["next"],
    "properties": {"next": {"$ref": "#/components/schemas/either"}},
}
JSON_VALUE: Final = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"$ref": "#/components/schemas/value"}},
        {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/value"}},
    ]
}
UNIONS: Final = {
    "one": BINARY,
    "two": BINARY,
    "either": {"anyOf": [{"$ref": "#/components/schemas/one"}, {"$ref": "#/components/schemas/two"}]},
    "both": {
        "allOf": [
            BINARY,
            {"properties": {"next": {"$ref": "#/components/schemas/both"}}},
            {"$ref": "#/components/schemas/one"},
        ]
    },
    "value": JSON_VALUE,
}


def nested(depth: int) -> Any:
    value: Any = 5
    for _ in range(depth):
        value = {"next": value}
    return value


@pytest.mark.parametrize("name", ["one", "either", "both", "value"])
def test_a_schema_that_contains_itself_twice_costs_no_more_with_each_level(name: str) -> None:
    rules = InputSchema(schema({"tree": {"$ref": f"#/components/schemas/{name}"}}, more=UNIONS))
    rules.faults({"tree": 5})  # validators are compiled once
    assert (
        seconds(lambda: rules.faults({"tree": nested(14)}))
        <= 10 * seconds(lambda: rules.faults({"tree": nested(7)})) + 0.1
    )


def test_a_union_that_contains_itself_once_for_each_type_is_checked() -> None:
    rules = InputSchema(schema({"tree": {"$ref": "#/components/schemas/value"}}, more=UNIONS))
    assert rules.faults({"tree": {"a": ["b", {"c": "d"}]}}) == ()
    assert rules.faults({"tree": {"a": ["b", {"c": 5}]}}) != ()
