"""Inspects a model without running it: a child process imports it, describes it and ends.

If the model has a `.cog/openapi_schema.json`, that is used and no process is started.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from halley.errors import Unusable
from halley.replicas import endings, frames
from halley.replicas.channel import Body
from halley.replicas.child import Child
from halley.replicas.endings import Exit
from halley.replicas.form_yaml import form_faults, with_form
from halley.replicas.loading import ModelSource, load_source
from halley.replicas.output_journal import UnsentOutput
from halley.replicas.places import Places
from halley.settings import process_environ

DEADLINE_SECONDS: Final = 120.0  # importing a large framework from a cold disk takes almost a minute


class Inspected(msgspec.Struct, frozen=True, kw_only=True):
    """What a model accepts and returns. With a ready schema `is_async` is False: it is known only after `setup()`."""

    openapi_schema: bytes  # the document
    ref: str
    is_async: bool = False
    streams: bool = False  # its output is an iterator
    max_concurrency: int = 1
    file_inputs: bool = True
    warnings: tuple[str, ...] = ()


async def inspect(
    source: ModelSource,
    *,
    environ: Mapping[str, str],
    places: Places | None = None,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> Inspected:
    """Find the model's schema. Takes as long as the model's import, up to the deadline; the caller caches it by source
    digest.

    Raises:
        Unusable: it cannot be imported or described; the message has the reason and the traceback.
    """
    if source.openapi_schema is not None:
        return _from_document(source, source.openapi_schema)
    return await _Inspection(source, environ, places).result(deadline_seconds)


def inspect_folder(path: Path, *, environ: Mapping[str, str] | None = None) -> Inspected:
    """The same for a folder or file, for callers without a loop.

    Raises:
        Unusable: see `load_source` and `inspect`.
    """
    return asyncio.run(inspect(load_source(path), environ=process_environ() if environ is None else environ))


class _Inspection:
    """One child in inspect mode. Implements `child.ChildListener`."""

    def __init__(self, source: ModelSource, environ: Mapping[str, str], places: Places | None) -> None:
        self._source = source
        self._said = ""
        self._heard = 0  # characters of output, including dropped ones
        self._found: Inspected | None = None
        self._fault: str | None = None
        self._how = Exit(code=0)
        try:
            place = None if places is None else places.make(source)
            self._child = Child(source, self, environ=environ, mode="inspect", place=place)
        except OSError as error:
            raise Unusable(f"The model {source.name} cannot be started with {source.python}: {error}.") from error

    async def result(self, deadline_seconds: float) -> Inspected:
        try:
            async with asyncio.timeout(deadline_seconds):
                await asyncio.shield(self._child.gone)
        except TimeoutError:
            self._fault = self._fault or f"importing it took longer than {deadline_seconds:g} s"
        finally:
            self._child.kill()
            await self._child.gone
        if self._found is not None and self._fault is None:
            return self._found
        words = self._said + self._child.crash_output
        fault = self._fault or endings.exit_text(self._how, doing="importing it", last_output=words)
        raise Unusable(f"The model {self._source.name} ({self._source.folder}) cannot be used: {fault}")

    def on_frames(self, bodies: Sequence[Body]) -> None:
        for body in bodies:
            self._take(frames.decode(body))

    def _take(self, frame: frames.FromReplica) -> None:
        match frame:
            case frames.DescribedFrame():
                self._found = self._inspected(frame)
            case frames.RefusedFrame():
                trace = f"\n{frame.traceback.strip()}" if frame.traceback else ""
                self._fault = f"{frame.error}{trace}"
            case frames.HelloFrame(v=version) if version != frames.PROTOCOL:
                raise ValueError(f"it speaks version {version}, we speak {frames.PROTOCOL}")
            case frames.LogFrame():
                self._say(frame.text)
            case _:
                pass  # hello, and frames that only a serving process sends

    def on_protocol_error(self, fault: str) -> None:
        self._fault = fault

    def on_unsent_output(self, pieces: Sequence[UnsentOutput]) -> None:
        for piece in pieces:
            self._say(piece.after(self._heard))

    def on_exit(self, how: Exit) -> None:
        self._how = how

    def _say(self, text: str) -> None:
        self._heard += len(text)
        self._said = (self._said + text)[-endings.SAID_CHARS :]

    def _inspected(self, frame: frames.DescribedFrame) -> Inspected:
        document = with_form(bytes(frame.schema), self._source.form)
        return Inspected(
            openapi_schema=document,
            ref=self._source.ref,
            is_async=frame.is_async,
            streams=frame.streams,
            max_concurrency=frame.max_concurrency,
            file_inputs=frame.file_inputs,
            warnings=(*self._source.warnings, *frame.warnings, *form_faults(document)),
        )


def _from_document(source: ModelSource, document: bytes) -> Inspected:
    schemas: dict[str, Any] = msgspec.json.decode(document)["components"]["schemas"]
    output = schemas.get("Output")
    return Inspected(
        openapi_schema=document,
        ref=source.ref,
        streams=isinstance(output, dict) and output.get("x-cog-array-type") == "iterator",
        max_concurrency=source.max_concurrency or 1,
        file_inputs=_names_files(schemas["Input"].get("properties")),
        warnings=(*source.warnings, *form_faults(document)),
    )


def _names_files(node: object) -> bool:
    """Whether `format: uri` occurs anywhere in a schema."""
    if isinstance(node, dict):
        return node.get("format") == "uri" or any(_names_files(member) for member in node.values())
    return isinstance(node, list) and any(_names_files(item) for item in node)
