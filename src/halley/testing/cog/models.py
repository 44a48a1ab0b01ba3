"""What the models of the fake Cog server do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


class Running:
    """A run there: what its model has printed and yielded so far."""

    def __init__(self, id: str, given: dict[str, Any]) -> None:
        self.id = id
        self.input = given
        self.logs = ""
        self.output: list[Any] = []
        self.events: list[tuple[str, dict[str, Any]]] = [("start", {"id": id, "status": "processing"})]
        self.changed = asyncio.Event()
        self.end: dict[str, Any] | None = None
        self.task: asyncio.Task[None] | None = None

    def log(self, text: str) -> None:
        """It prints."""
        self.logs += text
        self._tell("log", {"source": "stdout", "data": text})

    def yields(self, item: Any) -> None:
        """It yields."""
        self.output.append(item)
        self._tell("output", {"chunk": item, "index": len(self.output) - 1})

    def over(self, end: dict[str, Any]) -> None:
        """It is over."""
        self.end = {"id": self.id, "logs": self.logs, "metrics": {"predict_time": 0.25}, **end}
        self._tell("completed", self.end)

    def state(self) -> dict[str, Any]:
        """As a repeated request shows it."""
        shown = {"id": self.id, "input": self.input, "logs": self.logs, "metrics": {}, "status": "processing"}
        return shown | ({"output": list(self.output)} if self.output else {})

    def _tell(self, name: str, data: dict[str, Any]) -> None:
        self.events.append((name, data))
        self.changed.set()


Model = Callable[[Running], Awaitable[Any]]
"""Runs, and returns the whole output, or None for what it has yielded."""


async def echo(run: Running) -> Any:
    """Its output is the text of its input."""
    run.log(f"saying {run.input['text']}\n")
    return run.input["text"]


async def spell(run: Running) -> Any:
    """An iterator of the letters of its text, each printed before."""
    for letter in run.input["text"]:
        run.log(f"{letter}\n")
        await asyncio.sleep(0.005)
        run.yields(letter)
    return list(run.output)


async def fail(run: Running) -> Any:
    """It fails."""
    run.log("now\n")
    raise ValueError("no such luck")


async def wait(run: Running) -> Any:
    """It runs until it is canceled."""
    run.log("waiting\n")
    await asyncio.get_running_loop().create_future()


def document(output: dict[str, Any], *, has_stream: bool) -> dict[str, Any]:
    """The OpenAPI document of a model with one input, `text`."""
    text = {"type": "string", "title": "Text", "x-order": 0}
    schemas = {"Input": {"type": "object", "title": "Input", "properties": {"text": text}}, "Output": output}
    post = {"x-cog-streaming": True} if has_stream else {}
    return {
        "openapi": "3.0.2",
        "info": {"title": "Cog", "version": "0.1.0"},
        "paths": {"/predictions": {"post": post}},
        "components": {"schemas": schemas},
    }


TEXT: dict[str, Any] = {"type": "string"}
ITEMS: dict[str, Any] = {"type": "array", "items": TEXT, "x-cog-array-type": "iterator"}
