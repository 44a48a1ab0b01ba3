"""A provider controlled by a test, and a worker that uses it."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

from halley.dispatch.ports import (
    BegunRun,
    Emit,
    LogText,
    MetricValue,
    Outcome,
    OutputPart,
    Pointer,
    Progress,
    RunListener,
    Work,
)
from halley.errors import HalleyError, StorageFull
from halley.predictions.records import OutputFile


class ScriptedRun:
    """One run controlled by a test: report progress, then end it."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.canceled = asyncio.Event()
        self.obeys_cancel = True
        self._ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._emit: Emit | None = None
        self._early: list[Progress] = []

    def log(self, text: str) -> None:
        self._say(LogText(text))

    def put_out(
        self, value: object, *, more: bool = True, paths: Sequence[Pointer] = (), links: Sequence[Pointer] = ()
    ) -> None:
        encoded = msgspec.Raw(msgspec.json.encode(value))
        self._say(OutputPart(value=encoded, more=more, paths=tuple(paths), links=tuple(links)))

    def metric(self, name: str, value: object, mode: Literal["replace", "incr", "append"] = "replace") -> None:
        self._say(MetricValue(name=name, value=value, mode=mode))

    def end(self, outcome: Outcome | None = None) -> None:
        if not self._ended.done():
            self._ended.set_result(outcome or Outcome(status="succeeded", predict_time=0.5))

    def cancel(self) -> None:
        self.canceled.set()
        if self.obeys_cancel:
            self.end(Outcome(status="canceled"))

    def _say(self, item: Progress) -> None:
        if self._emit is None:
            self._early.append(item)
        else:
            self._emit(item)

    def report(self, listener: RunListener, ended: Callable[[], None]) -> "RunAtOnce":
        """Report to the listener; call `ended` before its end is reported."""
        at_once = RunAtOnce(self, listener)
        self._emit = at_once.say

        def tell(done: "asyncio.Future[Outcome]") -> None:
            ended()
            at_once.end(done.result())

        self._ended.add_done_callback(tell)
        return at_once

    async def follow(self, emit: Emit) -> Outcome:
        self._emit = emit
        for item in self._early:
            emit(item)
        return await self._ended


class RunAtOnce:
    """Implements `dispatch.ports.BegunRun`: a whole output is reported together with the end, as by a replica."""

    def __init__(self, run: ScriptedRun, listener: RunListener) -> None:
        self._run = run
        self._listener = listener
        self._whole: OutputPart | None = None

    def listen(self, listener: RunListener) -> None:
        self._listener = listener

    def cancel(self) -> None:
        self._run.cancel()

    def say(self, item: Progress) -> None:
        self._tell_whole()
        if isinstance(item, OutputPart) and not item.more and not item.paths:
            self._whole = item
        else:
            self._listener.emit(item)

    def end(self, outcome: Outcome) -> None:
        if outcome.status == "succeeded":
            whole, self._whole = self._whole, None
            self._listener.succeeded(None if whole is None else whole.value, outcome.predict_time)
        else:
            self._tell_whole()
            self._listener.ended(outcome)

    def _tell_whole(self) -> None:
        whole, self._whole = self._whole, None
        if whole is not None:
            self._listener.emit(whole)


class ScriptedProvider:
    """Implements `dispatch.ports.Provider`. `runs` are the submitted ones in order; a cancel ends a run at once."""

    def __init__(self, slots: int = 1) -> None:
        self.slots = slots
        self.held = 0
        self.wanted: list[str] = []
        self.runs: list[ScriptedRun] = []
        self.refuses: HalleyError | None = None
        self.obeys_cancel = True
        self.at_once = False  # runs begin without a task
        self.is_local = True
        self.wants_local_files = True
        self._submitted = asyncio.Event()

    def free_slots(self, version: str) -> int:
        del version
        return self.slots - self.held

    def request_capacity(self, version: str, *, alone: bool = False) -> None:
        del alone
        self.wanted.append(version)

    def take_slot(self, version: str, *, alone: bool = False) -> bool:
        if alone and self.held:
            return False
        if self.free_slots(version) <= 0:
            return False
        self.held += 1
        return True

    def drop_slot(self, version: str, *, alone: bool = False) -> None:
        del version, alone
        self.held -= 1

    async def submit(self, work: Work) -> str:
        if self.refuses is not None:
            raise self.refuses
        self.runs.append(ScriptedRun(work))
        self._submitted.set()
        return str(len(self.runs) - 1)

    def begin_at_once(self, work: Work, listener: RunListener) -> BegunRun | None:
        if not self.at_once:
            return None
        if self.refuses is not None:
            raise self.refuses
        run = ScriptedRun(work)
        self.runs.append(run)
        self._submitted.set()
        return run.report(listener, partial(self.drop_slot, work.version))

    async def adopt(self, work: Work, handle: str | None) -> str | None:
        del work, handle
        return None

    async def follow(self, handle: str, emit: Emit) -> Outcome:
        try:
            return await self.runs[int(handle)].follow(emit)
        finally:
            self.held -= 1

    def cancel(self, handle: str) -> None:
        self.runs[int(handle)].obeys_cancel = self.obeys_cancel
        self.runs[int(handle)].cancel()

    async def next_run(self, number: int = 0) -> ScriptedRun:
        """Wait for the run with this number, and return it."""
        while len(self.runs) <= number:
            self._submitted.clear()
            await self._submitted.wait()
        return self.runs[number]


class FakeStagedInput(msgspec.Struct, frozen=True, kw_only=True):
    """Implements `dispatch.ports.PreparedInput`."""

    input: bytes
    paths: tuple[Pointer, ...] = ()


class ScriptedStaging:
    """Implements `InputStager`: no input has files, until a test sets `has`."""

    def __init__(self) -> None:
        self.has = False
        self.calls = 0
        self.refuses: HalleyError | None = None
        self._gate = asyncio.Event()
        self._gate.set()
        self._asked = asyncio.Event()

    def hold(self) -> None:
        """All inputs have files, whose staging ends when the test releases it."""
        self.has = True
        self._gate.clear()

    def release(self) -> None:
        self._gate.set()

    async def asked(self, times: int) -> None:
        """Return once it was called so often."""
        while self.calls < times:
            self._asked.clear()
            await self._asked.wait()

    def has_files(self, version: str, openapi_schema: bytes) -> bool:
        del version, openapi_schema
        return self.has

    async def stage(
        self,
        *,
        prediction_id: str,
        version: str,
        openapi_schema: bytes,
        account_id: str,
        work_input: bytes,
        folder: Path,
    ) -> FakeStagedInput:
        del prediction_id, version, openapi_schema, account_id, work_input, folder
        self.calls += 1
        self._asked.set()
        if self.refuses is not None:
            raise self.refuses
        await self._gate.wait()
        return FakeStagedInput(input=b'{"staged":true}')


class FakeKeptOutput(msgspec.Struct, frozen=True, kw_only=True):
    """Implements `dispatch.ports.KeptOutput`."""

    value: bytes
    files: tuple[OutputFile, ...]


class NamingKeeper:
    """Implements `OutputKeeper`: stores nothing, names everything. `full_times` makes it report a full disk first."""

    def __init__(self) -> None:
        self.full_times = 0
        self.refuses: HalleyError | None = None
        self.breaks = False
        self.calls = 0

    async def keep(
        self,
        *,
        prediction_id: str,
        first_index: int,
        value: bytes,
        paths: Sequence[Pointer],
        folder: Path | None,
        links: Sequence[Pointer] = (),
        origin: tuple[str, int] | None = None,
    ) -> FakeKeptOutput:
        del folder, origin
        self.calls += 1
        if self.breaks:
            raise RuntimeError("a bug in the keeper")
        if self.refuses is not None:
            raise self.refuses
        if self.full_times:
            self.full_times -= 1
            raise StorageFull("the disk is full")
        files = tuple(
            OutputFile(
                ref=f"asset:{prediction_id}/{index}/a.png",
                index=index,
                name="a.png",
                sha256="0" * 64,
                size_bytes=1,
                content_type="image/png",
            )
            for index, _ in enumerate([*paths, *links], first_index)
        )
        return FakeKeptOutput(value=msgspec.json.encode(files[0].ref) if files else value, files=files)


class NoFolders:
    """Implements `Workspace` without a disk."""

    def __init__(self) -> None:
        self.removed: list[str] = []
        self._gate = asyncio.Event()
        self._gate.set()

    def hold(self) -> asyncio.Event:
        """Removing blocks until the event is set."""
        self._gate.clear()
        return self._gate

    def make(self, prediction_id: str, fence: int) -> str:
        return self.name(prediction_id, fence)

    def name(self, prediction_id: str, fence: int) -> str:
        return f"/nowhere/{prediction_id}.{fence}"

    async def remove(self, folder: str) -> None:
        await self._gate.wait()
        self.removed.append(folder)
