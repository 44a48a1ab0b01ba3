"""Looking inside a model without running it."""

import asyncio

import msgspec
import pytest

from halley.errors import Unusable
from halley.replicas.inspect import inspect, inspect_folder

pytestmark = pytest.mark.anyio


async def test_a_model_is_described(model) -> None:
    source = model("""
        from typing import Iterator
        from cog import BaseRunner, Input
        print("imported")
        class Runner(BaseRunner):
            def run(self, text: str = Input(description="what to say")) -> Iterator[str]:
                yield text
        """)
    found = await inspect(source, environ={})
    document = msgspec.json.decode(found.openapi_schema)
    assert document["components"]["schemas"]["Input"]["properties"]["text"]["description"] == "what to say"
    assert (found.streams, found.is_async, found.max_concurrency, found.file_inputs) == (True, False, 1, False)


async def test_concurrency_and_files_are_seen(model) -> None:
    source = model("""
        from cog import Path, concurrent
        @concurrent(max=3)
        async def run(picture: Path) -> str:
            return ""
        """)
    found = await inspect(source, environ={})
    assert (found.is_async, found.max_concurrency, found.file_inputs) == (True, 3, True)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import absent_module\n", "absent_module"),
        ("def run(:\n", "SyntaxError"),
        ("x = 1\n", "Runner"),
        ("import os\nprint('well', flush=True)\nos._exit(3)\n", "exited with code 3 while importing it"),
    ],
)
async def test_a_model_that_cannot_be_described_is_refused(model, code: str, said: str) -> None:
    with pytest.raises(Unusable, match=said) as refused:
        await inspect(model(code), environ={})
    assert "local/model" in str(refused.value)


async def test_an_endless_import_is_ended(model) -> None:
    with pytest.raises(Unusable, match=r"importing it took longer than 0\.3 s"):
        await inspect(model("import time\ntime.sleep(1000)\n"), environ={}, deadline_seconds=0.3)


async def test_a_ready_schema_starts_no_process(model) -> None:
    document = msgspec.json.encode(
        {
            "components": {
                "schemas": {
                    "Input": {
                        "properties": {"pictures": {"type": "array", "items": {"type": "string", "format": "uri"}}}
                    },
                    "Output": {"type": "array", "x-cog-array-type": "iterator"},
                }
            }
        }
    )
    found = await inspect(model("1/0", openapi_schema=document, python="/nowhere/python"), environ={})
    assert found.openapi_schema == document
    assert (found.streams, found.file_inputs) == (True, True)


async def test_an_interpreter_that_is_not_there_is_named(model) -> None:
    with pytest.raises(Unusable, match="/nowhere/python"):
        await inspect(model("", python="/nowhere/python"), environ={})


async def test_a_cancelled_inspection_leaves_no_process(model) -> None:
    task = asyncio.ensure_future(inspect(model("import time\ntime.sleep(1000)\n"), environ={}))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_the_command_line_needs_no_loop(model) -> None:
    found = inspect_folder(model("def run(n: int) -> int:\n    return n\n").folder)
    assert b'"integer"' in found.openapi_schema
