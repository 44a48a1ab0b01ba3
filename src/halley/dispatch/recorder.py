"""Turns the progress of a run into events: in order, in batches, with files stored before their event."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from halley.dispatch.pacing import StepPace
from halley.dispatch.parts import RunParts
from halley.dispatch.ports import KeptOutput, LogText, MetricValue, OutputPart, Progress
from halley.dispatch.replay_filter import ReplayFilter
from halley.dispatch.unstored_links import output_not_kept
from halley.errors import HalleyError, LeaseLost
from halley.predictions.hints import Changed
from halley.predictions.large import Json
from halley.predictions.queue import Lease
from halley.predictions.records import MetricItem, NewEvent, OutputFile, Step, encode_output
from halley.predictions.status import OUTPUT_KINDS, EventKind
from halley.predictions.submits import Recorded
from halley.retry import retry_until_accepted
from halley.strict_json import HEAVY_BYTES, is_heavy, unfit

_log = logging.getLogger(__name__)
_encode: Final = msgspec.json.Encoder().encode

BACKLOG_ITEMS: Final = 1000  # more wait only while the store takes nothing: then pieces of log text are joined
_JOINED_BYTES: Final = 4096
LATE_SECONDS: Final = 0.5  # for text printed after its end: each commit writes the whole row
_STOPPED: Final = "The run was stopped before its files were copied here."
FLUSH_SECONDS: Final = 0.025  # the delay for a reader; well under the 150 ms that a person notices

StartSoon = Callable[[Coroutine[Any, Any, None]], object]


class RecordedRun(Protocol):
    """The run whose events are recorded."""

    @property
    def lease(self) -> Lease: ...
    def stop(self) -> None:
        """It has ended elsewhere, or its output cannot be kept."""
        ...

    def lose_lease(self) -> None:
        """Its lease is lost: the new holder may have adopted the run."""
        ...


class Recorder:
    """The events of one run.

    `emit` takes progress at any rate and never blocks. A batch is committed FLUSH_SECONDS after its first item, by a
    task that exists only for that: a run that ends sooner writes once, with `finish`. Progress during a commit waits as
    long after it, because each commit wakes all readers: on a fast disk they would be woken for every few words.
    """

    def __init__(self, run: RecordedRun, *, parts: RunParts, start_soon: StartSoon) -> None:
        self._run = run
        self._lease = run.lease
        self._parts = parts
        self._clock = parts.clock
        self._caps = parts.rules.caps
        self._start_soon = start_soon
        self.place = b""  # the data of STARTED
        self.folder: str | None = None  # output files of the run may be in it
        self._items: list[NewEvent | OutputPart] = []
        self._log_bytes = 0
        self._log_full = False
        self._metric_bytes = 0
        self._outputs = 0
        self._output_bytes = 0
        self._files: list[OutputFile] = []
        self._files_before = 0  # recorded by an earlier holder
        self._replay: ReplayFilter | None = None
        self._pumping: asyncio.Event | None = None  # set when the pump has ended
        self._steps: StepPace | None = None  # once there is log text
        self._timer: asyncio.TimerHandle | None = None
        self.has_published_output = False
        self._is_stopped = self._has_lost_lease = False  # if so, no file is fetched any more
        self._fetching: asyncio.Future[KeptOutput] | None = None
        self.ended_elsewhere = False  # it was cancelled or timed out: only log text is stored from now on
        self._is_lost = False  # nothing is stored any more
        self.error: str | None = None  # why the output cannot be stored
        self.may_have_files = False  # it produced output that may name files in the run folder

    def start(self, at: datetime | None = None, *, seconds: float = FLUSH_SECONDS) -> None:
        """The run began, by default now; that is committed after these seconds."""
        self._items.append(NewEvent(kind=EventKind.STARTED, at=at or self._clock.now(), data=self.place))
        self._commit_in(seconds)

    def resume(self, recorded: Recorded) -> None:
        """The run was adopted: leave out what is recorded. Called instead of `start` if it has started."""
        self._replay = ReplayFilter(recorded)
        self._files_before = recorded.files
        self.has_published_output = recorded.outputs > 0
        if not recorded.has_started:
            self.start()

    def emit(self, progress: Progress) -> None:
        """Receive one item of progress; see dispatch.ports.Emit."""
        if self._is_lost:
            self.may_have_files = True  # output is not checked for files any more
            return
        if type(progress) is LogText:
            self._add_log(progress.text)
        elif self.ended_elsewhere or self.error is not None:
            self.may_have_files = True
            return
        elif type(progress) is OutputPart:
            self._outputs += 1
            if self._outputs > self._caps.output_items:
                self._refuse(f"the output has more than {self._caps.output_items} items (setting limits.output_events)")
                return
            self._output_bytes += len(progress.value)
            if self._output_bytes > self._caps.output_bytes:
                most = f"{self._caps.output_bytes:,} bytes"
                self._refuse(f"the output has more than {most} (setting limits.output_bytes)")
                return
            if self._replay is None or not self._replay.is_known_output():
                self._add_output(progress)
        elif type(progress) is MetricValue:
            self._add_metric(progress)
        self._commit_soon()

    def _commit_soon(self) -> None:
        if self._timer is None and self._pumping is None:
            self._commit_in(LATE_SECONDS if self.ended_elsewhere else FLUSH_SECONDS)

    def _commit_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._pump_soon)

    async def rest(self) -> list[NewEvent]:
        """Stop batching; returns the events that are not committed yet, with files stored, to be committed with the
        end.
        """
        if self._steps is not None:
            self._steps.end()
        while self._pumping is not None:
            await self._pumping.wait()
        items = self._take()
        return await self._events(items) if self.may_have_files else items  # type: ignore[return-value] # all are events

    def _take(self) -> list[NewEvent | OutputPart]:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        items, self._items = self._items, []
        return items

    def _add_log(self, text: str) -> None:
        self._keep_log(text)
        if self._steps is None:
            self._steps = StepPace(self._add_step)
        self._steps.read(text)  # also if the log is full: the bar continues

    def _log_text(self, text: str) -> None:
        if self._replay is not None and not (text := self._replay.new_text(text)):
            return
        data = _encode(text)
        if len(self._items) > BACKLOG_ITEMS and (longer := _joined(self._items[-1], data)) is not None:
            self._items[-1] = longer
        else:
            self._add(EventKind.LOGGED, data)

    def _add_step(self, step: Step) -> None:
        if self.ended_elsewhere or self.error is not None:
            return
        self._add(EventKind.PROGRESSED, _encode(step))
        self._commit_soon()

    def _keep_log(self, text: str) -> None:
        if self._log_full or not text:
            return
        encoded = text.encode("utf-8", "replace")
        room = self._caps.log_bytes - self._log_bytes
        self._log_bytes += len(encoded)
        if len(encoded) > room:
            self._log_full = True
            kept = encoded[: max(room, 0)].decode("utf-8", "ignore")
            limit = self._caps.log_bytes
            text = f"{kept}\n[halley] more logs were dropped: the limit is {limit} bytes (limits.log_bytes)\n"
        self._log_text(text)

    def _add_output(self, part: OutputPart) -> None:
        if part.paths or part.links or len(part.value) > HEAVY_BYTES or is_heavy(value := bytes(part.value)):
            self.may_have_files = True
            self._items.append(part)  # its files are checked later
        elif (fault := unfit(value)) is not None:
            self._refuse(f"the output {fault}")
        else:
            self._items.append(self._output_event(part, part.value))

    def _add_metric(self, metric: MetricValue) -> None:
        if self._metric_bytes > self._caps.metric_bytes:
            return
        data = _metric_data(metric)
        if data is None:
            text = f"\n[halley] the metric {metric.name[:100]} was dropped: it is no JSON that can be kept\n"
            self._log_text(text)
            return
        self._metric_bytes += len(data)
        if self._metric_bytes > self._caps.metric_bytes:
            # separate from the logs, which may be full
            limit = f"{self._caps.metric_bytes} bytes (limits.metric_bytes)"
            self._log_text(f"\n[halley] more metrics were dropped: the limit is {limit}\n")
        elif self._replay is None or not self._replay.is_known_metric():
            self._add(EventKind.METRIC_RECORDED, data)

    def _add(self, kind: EventKind, data: bytes) -> None:
        self._items.append(self._event(kind, data))

    def _event(self, kind: EventKind, data: bytes) -> NewEvent:
        return NewEvent(kind=kind, at=self._clock.now(), data=data)

    def _output_event(self, part: OutputPart, value: Json, files: tuple[OutputFile, ...] = ()) -> NewEvent:
        kind = EventKind.OUTPUT_ADDED if part.more else EventKind.OUTPUT_SET
        return self._event(kind, encode_output(value, files, passed=part.passed))

    def _refuse(self, error: str) -> None:
        self.error = error
        self.may_have_files = True
        self._run.stop()

    def _pump_soon(self) -> None:
        self._timer = None
        self._pumping = asyncio.Event()
        self._start_soon(self._pump(self._pumping))

    async def _pump(self, done: asyncio.Event) -> None:
        try:
            items, self._items = self._items, []
            events = await self._events(items)
            if events:
                await self._commit(events)
        except LeaseLost:
            self._lose()
            self._run.lose_lease()
        except asyncio.CancelledError:  # these are lost with the run; later ones must not be stored without them
            self._lose()
            raise
        except Exception:  # noqa: BLE001 - events were lost: after any error, this run must not end as succeeded
            _log.exception("the events of %s could not be stored", self._lease.prediction_id)
            self._refuse("An internal error of the server lost part of the output; the server's log has the details.")
        finally:
            self._pumping = None
            if self._items:
                self._commit_soon()
            done.set()

    async def _commit(self, events: list[NewEvent]) -> None:
        appended = await retry_until_accepted(
            lambda: self._parts.queue.append_events(self._lease, events),
            self._clock,
            f"the events of {self._lease.prediction_id} wait",
        )
        if appended.is_terminal:
            if not self.ended_elsewhere:
                self.ended_elsewhere = True
                self._run.stop()
            self._parts.bus.publish(Changed(self._lease.prediction_id))
            return
        self.has_published_output |= any(event.kind in OUTPUT_KINDS for event in events)
        self._parts.bus.publish(Changed(self._lease.prediction_id))

    def stop_fetching(self, *, has_lost_lease: bool = False) -> None:
        """The run is stopped: do not wait for files that its service sends. Other output is still recorded, unless the
        lease is lost: then another worker fetches them.
        """
        if self.error is None:
            self._is_stopped = True
            self._has_lost_lease |= has_lost_lease
            if self._fetching is not None:
                self._fetching.cancel()

    def drop(self) -> None:
        """Store nothing any more."""
        self._take()
        self._lose()

    def _lose(self) -> None:
        self.ended_elsewhere = self._is_lost = True
        self._items.clear()

    async def _events(self, items: list[NewEvent | OutputPart]) -> list[NewEvent]:
        events: list[NewEvent] = []
        items.reverse()
        while items:  # each is released when its event is made: an output may be large
            item = items.pop()
            if type(item) is OutputPart:
                if self.error is None and not self.ended_elsewhere and (event := await self._keep(item)) is not None:
                    events.append(event)
            else:
                events.append(item)  # type: ignore[arg-type]
        return events

    async def _keep(self, part: OutputPart) -> NewEvent | None:
        if part.links and self._is_stopped:
            await asyncio.sleep(0)  # there may be many
            self._check_lease()
            return self._not_kept(part, _STOPPED)
        try:
            kept = await (self._fetched(part) if part.links else self._kept(part))
        except LeaseLost:  # no fault of the output: the run continues, and must not be canceled
            raise
        except HalleyError as error:
            self._refuse(str(error))
            return self._not_kept(part, str(error))
        if kept is None:
            return self._not_kept(part, _STOPPED)
        self._files.extend(kept.files)
        return self._output_event(part, kept.value, kept.files)

    def _not_kept(self, part: OutputPart, error: str) -> NewEvent | None:
        data = output_not_kept(part, error)
        return None if data is None else self._event(EventKind.OUTPUT_NOT_KEPT, data)

    async def _fetched(self, part: OutputPart) -> KeptOutput | None:
        """The output with the files behind its links; None if the run was stopped before they were here."""
        self._fetching = asyncio.ensure_future(self._kept(part))
        try:
            return await self._fetching
        except asyncio.CancelledError:
            if (ours := asyncio.current_task()) is not None and ours.cancelling():
                raise
            self._check_lease()
            return None
        finally:
            self._fetching = None

    def _check_lease(self) -> None:
        """Raises:
        LeaseLost: another worker fetches it.
        """
        if self._has_lost_lease:
            raise LeaseLost(f"another worker records the output of {self._lease.prediction_id}")

    async def _kept(self, part: OutputPart) -> KeptOutput:
        return await retry_until_accepted(
            lambda: self._parts.files.keeper.keep(
                prediction_id=self._lease.prediction_id,
                first_index=self._files_before + len(self._files),
                value=part.value,
                paths=part.paths,
                links=part.links,
                origin=part.origin,
                folder=None if self.folder is None else Path(self.folder),
            ),
            self._clock,
            f"the output of {self._lease.prediction_id} waits",
        )


def _joined(item: NewEvent | OutputPart, data: bytes) -> NewEvent | None:
    """The event with more log text; None if it is another event, or long already. Both texts are JSON strings."""
    if not isinstance(item, NewEvent) or item.kind is not EventKind.LOGGED or len(item.data) > _JOINED_BYTES:
        return None
    return msgspec.structs.replace(item, data=item.data[:-1] + data[1:])


def _metric_data(metric: MetricValue) -> bytes | None:
    """The metric as JSON; None if it could not be read again."""
    try:
        data = _encode(MetricItem(name=metric.name, value=metric.value, mode=metric.mode))
    except (OverflowError, RecursionError):
        return None
    return None if unfit(data) else data
