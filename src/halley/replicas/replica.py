"""One replica: a process that has loaded a model, the predictions that run in it, and its end."""

import asyncio
import logging
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Literal, Protocol, assert_never

import msgspec

from halley.dispatch.ports import LogText, MetricValue, Outcome, OutputPart, RunListener, Work
from halley.errors import Conflict, Overloaded
from halley.replicas import endings, frames
from halley.replicas.channel import Body
from halley.replicas.child import Child
from halley.replicas.devices import Device, on_device
from halley.replicas.endings import End, Exit
from halley.replicas.forced_stop import ForcedStop
from halley.replicas.health import HealthCheck
from halley.replicas.host import Host, Origin
from halley.replicas.loading import ModelSource
from halley.replicas.memory_watch import MemoryWatch
from halley.replicas.output_journal import UnsentOutput
from halley.replicas.places import IsolationWay
from halley.replicas.replica_call import ReplicaCall

_log = logging.getLogger(__name__)

TRACEBACK_CHARS: Final = 4000
_PULSE: Final = frames.encode(frames.PulseFrame())
_FORCED: Final = Outcome(status="canceled", reason="cancel_forced")
_SERVER_STOPS: Final = End(
    reason="worker_lost", error="The server stopped while this prediction ran; it may be tried again."
)


class State(StrEnum):
    """`starting` until `setup()` has ended; `stopping` when the server wants it to end."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    GONE = "gone"


class ReplicaOwner(Protocol):
    """The owner of a replica. All calls come in the loop's thread."""

    def replica_ready(self, replica: "Replica") -> None:
        """`setup()` has ended."""
        ...

    def slots_freed(self) -> None:
        """Predictions ended, and the replica continues."""
        ...

    def replica_retires(self) -> None:
        """A replica begins nothing any more, and ends as soon as its predictions have ended."""
        ...

    def replica_gone(self, replica: "Replica", end: End, *, was: State, ran: bool) -> None:
        """The process has ended. `was`: the state in which it died; `ran`: whether predictions died with it."""
        ...


class Replica:
    """Starts its process when constructed.

    Raises:
        OSError: the process cannot be started.
    """

    def __init__(
        self, version: str, source: ModelSource, owner: ReplicaOwner, host: Host, device: Device | None = None
    ) -> None:
        self.version: Final = version
        self.source: Final = source
        self.device: Final = device
        self.started_at: Final = host.clock.monotonic()
        self.ready_at: float | None = None
        self.used_bytes = 0  # last measurement
        self.state = State.STARTING
        self.slots = 0
        self.runs: Final[dict[str, ReplicaCall]] = {}
        self.ended_well = 0  # predictions whose end the process itself reported
        self.peak_bytes = 0  # as far as it was measured
        self._forced_stop: ForcedStop | None = None
        self.is_reserved = False  # for a prediction that must run alone: nothing else begins in it
        self._owner = owner
        self._host = host
        self._tail = ""
        self._said = 0  # characters of log text that belong to no prediction
        self._end: End | None = None  # why it is ending, if that is known before its exit
        self._memory: MemoryWatch | None = None
        started = source if device is None else on_device(source, device)
        self.way: IsolationWay | None = None  # None until the runner reports it
        self._child = Child(
            started,
            self,
            environ=host.environ,
            mode="serve",
            answered=self._answered,
            place=None if host.places is None else host.places.make(started, version),
            config=host.runner_config(version),
        )
        self._send = self._child.send
        self._health = HealthCheck(host, send=self._child.command)
        self._origin: Final = Origin(model=source.name, version=version, pid=self._child.pid)
        timeout = source.setup_timeout_seconds or host.rules.setup_timeout_seconds
        self._own_tasks = [host.later(timeout, lambda: self._setup_too_long(timeout))]
        if source.memory_limit_bytes:
            self._memory = self._make_memory_watch(source.memory_limit_bytes)
            self._own_tasks.append(host.start(self._memory.run()))

    @property
    def pid(self) -> int:
        """The process id, which is also the number of its process group."""
        return self._child.pid

    @property
    def can_begin(self) -> bool:
        """Whether it accepts predictions."""
        return self.state is State.READY and not self.is_reserved and self._forced_stop is None

    @property
    def free(self) -> int:
        """How many more predictions may begin."""
        if self.state is not State.READY or self.is_reserved or self._forced_stop is not None:
            return 0
        return self.slots - len(self.runs)

    @property
    def is_retiring(self) -> bool:
        """Whether it must end because of a run that does not stop, and waits for the others."""
        return self._forced_stop is not None

    @property
    def tail(self) -> str:
        """The end of what it printed outside of predictions: mostly the output of `setup()`."""
        return self._tail

    # calls from its owner

    def begin(self, work: Work, listener: RunListener) -> ReplicaCall:
        """Send a prediction to the process, and report it to the listener.

        Raises:
            HalleyError: nothing was begun.
        """
        if self.state is not State.READY:
            raise Overloaded(f"The process of {self.source.name} is {self.state}; the prediction can run in another.")
        if work.prediction_id in self.runs:
            raise Conflict(f"An earlier attempt of {work.prediction_id} still runs.")
        self._send(*frames.predict(work))
        run = self.runs[work.prediction_id] = ReplicaCall(work.prediction_id, self, listener)
        if self._memory is not None:
            self._memory.resume()
        return run

    def cancel(self, run: ReplicaCall) -> None:
        """Ask the run to stop; after the grace period end the process. Does nothing if the run has ended."""
        if run.canceling or self.runs.get(run.id) is not run:
            return
        run.canceling = True
        self._child.command(frames.encode(frames.CancelFrame(id=run.id)))
        run.grace = self._host.later(self._host.rules.cancel_grace_seconds, lambda: self._cancel_by_force(run))

    def check_health(self) -> None:
        """Ping an idle process; end it if it has not answered the last ping in time."""
        if self.state is not State.READY or self.runs:
            self._health.reset()
        elif (fault := self._health.ping(self.ended_well)) is not None:
            self._replace("unresponsive", fault)

    async def stop(self, end: End = _SERVER_STOPS) -> None:
        """Let short runs finish, then end by force. Returns when the process has ended."""
        if self.state is not State.GONE:
            self.state = State.STOPPING
            self._end = self._end or end
            if self._memory is not None:
                self._memory.resume()
            self._child.command(frames.encode(frames.StopFrame()))
            # The loop's own time: this waits for a process, and must end even if a test's clock does not move.
            for harder in (self._child.terminate, self._child.kill):
                if await self._gone_within(self._host.rules.stop_step_seconds):
                    return
                harder()
        await self._child.gone

    def measured(self, used_bytes: int) -> None:
        """Store a new measurement of its memory."""
        self.used_bytes = used_bytes
        self.peak_bytes = max(self.peak_bytes, used_bytes)

    def kill(self, end: End) -> None:
        """End the process, its group and its predictions at once, for this reason."""
        if self.state is not State.GONE:
            self._end = self._end or end
            self._child.kill()

    # calls from its child (child.ChildListener)

    def on_frames(self, bodies: Sequence[Body]) -> None:
        """Handle the frames of one read. For each: one decode, one look-up, one call."""
        ended_before = self.ended_well
        for body in bodies:
            frame = frames.decode(body)
            if isinstance(frame, frames.DoneFrame):
                self._done(frame)
            else:
                self._take(frame)
        if self.ended_well > ended_before:
            if self._memory is not None and not self.runs:
                self._memory.pause()
            self._owner.slots_freed()

    def _take(self, frame: frames.Other) -> None:
        match frame:
            case frames.OutputFrame(id=key) if key in self.runs:
                self.runs[key].has_output = True
                self.runs[key].listener.emit(OutputPart(value=frame.value, paths=frame.paths))
            case frames.LogFrame(id=key):
                self._logged(key, frame.text)
            case frames.MetricFrame(id=key) if key in self.runs:
                self.runs[key].listener.emit(MetricValue(name=frame.name, value=frame.value, mode=frame.mode))
            case frames.ReadyFrame():
                self._ready(frame.slots)
            case frames.SetupFailedFrame():
                self._failed_setup("setup() failed", frame.error, frame.traceback)
            case frames.RefusedFrame():
                self._failed_setup("the model cannot be loaded", frame.error, frame.traceback)
            case frames.HelloFrame(v=version) if version != frames.PROTOCOL:
                raise ValueError(f"it speaks version {version}, we speak {frames.PROTOCOL}")
            case frames.DescribedFrame():
                self._health.model_has_check = frame.healthcheck
            case frames.HelloFrame():
                self._learn_way(frame)
            case frames.OutputFrame() | frames.MetricFrame():
                pass  # the others belong to a run that was given up
            case _:
                assert_never(frame)

    def on_protocol_error(self, fault: str) -> None:
        """Kill the process: its frames cannot be trusted any more."""
        self._end = self._end or End(reason="replica_died", error=f"The model process was stopped because {fault}.")

    def on_unsent_output(self, pieces: Sequence[UnsentOutput]) -> None:
        """Handle its last output as if it had been sent."""
        only = next(iter(self.runs)) if len(self.runs) == 1 else None
        for piece in pieces:
            owner = piece.prediction_id if piece.before is not None else only
            run = self.runs.get(owner) if owner is not None else None
            if owner is None or run is not None:  # otherwise the prediction ended, and all its text was sent
                self._logged(owner, piece.after(self._said if run is None else run.said))

    def on_exit(self, how: Exit) -> None:
        """The process has ended, and with it its predictions."""
        was, self.state = self.state, State.GONE
        self._host.replica_log.on_exit(self._origin)
        for task in self._own_tasks:
            task.cancel()
        end = self._end or self._ending(how, was)
        runs = list(self.runs.values())
        self.runs.clear()
        for run in runs:
            died = Outcome(status="failed", error=end.error, reason=end.reason, shared=len(runs) > 1)
            run.end(_FORCED if run.canceling else died)
        if end.reason == "unloaded":
            _log.info("%s", end.error)
        elif end.reason != "worker_lost":
            name = self.source.name
            _log.warning("%s", end.error if end.error.startswith(name) else f"{name}: {end.error}")
        elif runs:
            _log.info("%s: stopped; %d predictions are given back", self.source.name, len(runs))
        self._owner.replica_gone(self, end, was=was, ran=bool(runs))

    # internal steps

    def _answered(self, bodies: Sequence[Body]) -> None:
        for body in bodies:
            self._learn(frames.decode_answer(body))

    def _learn(self, answer: frames.Answer) -> None:
        if type(answer) is frames.PongFrame:
            self._health.reset()
        elif type(answer) is frames.BeatFrame and self._forced_stop is not None:
            self._forced_stop.beat()
        elif type(answer) is frames.HealthFrame and answer.status == "unhealthy" and not self.runs:
            self._replace("unhealthy", f"its healthcheck failed ({answer.error or 'it gave no reason'})")

    def _replace(self, reason: Literal["unresponsive", "unhealthy"], what: str) -> None:
        if self.state is State.READY:
            self.state = State.STOPPING  # nothing begins in it any more
            error = f"{self.source.name}: {what}, so it was stopped and is started again."
            self._end = End(reason=reason, error=error)
            self._child.kill()

    def _done(self, frame: frames.DoneFrame) -> None:
        run = self.runs.pop(frame.id, None)
        if run is None:
            return
        self.ended_well += 1
        if frame.status == "succeeded" and not frame.paths:
            run.succeed(frame.value if frame.has_value else None, frame.predict_time)
            return
        if frame.has_value:
            run.listener.emit(OutputPart(value=frame.value, paths=frame.paths, more=False))
        reason = "model_error" if frame.status == "failed" else None
        run.end(Outcome(status=frame.status, error=frame.error, reason=reason, predict_time=frame.predict_time))

    def _learn_way(self, hello: frames.HelloFrame) -> None:
        wanted = None if self._host.places is None else self._host.places.found
        why = hello.why or (wanted.why if wanted is not None and wanted.way == hello.way else "")
        self.way = IsolationWay(way=hello.way, why=why)
        if hello.why:
            _log.warning("%s is not isolated: %s", self.source.name, hello.why)

    def _logged(self, prediction_id: str | None, text: str) -> None:
        run = self.runs.get(prediction_id) if prediction_id is not None else None
        if run is not None:
            run.said += len(text)
            run.listener.emit(LogText(text))
            return
        if prediction_id is None:
            self._said += len(text)
        self._tail = (self._tail + text)[-endings.SAID_CHARS :]
        self._host.replica_log.on_text(self._origin, text)

    def _ready(self, slots: int) -> None:
        if self.state is State.STARTING:
            self.state = State.READY
            self.ready_at = self._host.clock.monotonic()
            self.slots = max(1, slots)
            if self._memory is not None:
                self._memory.pause()
            self._own_tasks[0].cancel()
            self._owner.replica_ready(self)

    def _failed_setup(self, what: str, error: str, traceback: str) -> None:
        if self._end is None:
            trace = f"\n{traceback.strip()[-TRACEBACK_CHARS:]}" if traceback else ""
            text = f"{self.source.name}: {what}: {error}{trace}"
            self._end = End(reason="setup_failed", error=text + endings.quoted(self._tail))

    def _setup_too_long(self, seconds: float) -> None:
        error = (
            f"{self.source.name}: setup() was not done after {seconds:g} s (setup_timeout), so the process was stopped."
        )
        self.kill(End(reason="setup_timeout", error=error + endings.quoted(self._tail)))

    def _cancel_by_force(self, run: ReplicaCall) -> None:
        if self.runs.get(run.id) is not run:
            return
        run.must_go = True
        if all(each.must_go for each in self.runs.values()):
            self._end_now(must_go=True)
            return
        run.end(_FORCED)  # its caller is gone, but it keeps its slot
        if self._forced_stop is None:
            self._forced_stop = ForcedStop(
                self.runs, self._host, ask=lambda: self._child.command(_PULSE), over=self._end_now
            )
            self._own_tasks.append(self._host.start(self._forced_stop.wait()))
            self._owner.replica_retires()

    def _end_now(self, *, must_go: bool) -> None:
        """End the process now, without waiting for further predictions."""
        self._forced_stop = None
        if must_go:
            grace = self._host.rules.cancel_grace_seconds
            error = (
                f"Another prediction in the same process did not stop within {grace:g} s of the request to stop, "
                "so the process was stopped."
            )
            self.kill(End(reason="replica_died", error=error))
        else:
            self._owner.slots_freed()

    def _ending(self, how: Exit, was: State) -> End:
        if self.peak_bytes:
            how = msgspec.structs.replace(how, peak_bytes=max(self.peak_bytes, how.peak_bytes or 0))
        if was is State.STARTING:
            words = self._tail + self._child.crash_output
            return End(
                reason="setup_failed", error=endings.exit_text(how, doing="loading the model", last_output=words)
            )
        doing = "running this prediction" if self.runs else "no prediction ran in it"
        error = endings.exit_text(how, doing=doing, last_output=self._child.crash_output)
        return End(reason="replica_died", error=error)

    def _make_memory_watch(self, limit_bytes: int) -> MemoryWatch:
        def kill(used_bytes: int) -> None:
            self.kill(End(reason="out_of_memory", error=endings.memory_limit_text(used_bytes, limit_bytes)))

        return MemoryWatch(self._host, self.pid, limit_bytes, measured=self.measured, over=kill)

    async def _gone_within(self, seconds: float) -> bool:
        done, _ = await asyncio.wait([self._child.gone], timeout=seconds)
        return bool(done)
