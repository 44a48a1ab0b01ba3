"""What dispatch needs: providers, and the handling of input and output files."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import msgspec

from halley.predictions.large import Json
from halley.predictions.records import OutputFile
from halley.predictions.submits import SubmitCount

Pointer = tuple[str | int, ...]
"""The place of a value inside a JSON value: member names and list indexes from the top."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction for a provider. Files are local; `paths` are their places inside `input`."""

    prediction_id: str
    attempt: int
    version: str
    model: str
    account_id: str = ""
    input: bytes  # JSON object
    context: bytes | None = None  # JSON object of strings
    alone: bool = False  # it was submitted into a slot that was taken with `alone`
    has_output: bool = False  # some output is recorded: a second run could give another one
    has_slot: bool = True  # False only for an adopted run: then no slot is released at its end
    paths: tuple[Pointer, ...] = ()
    fence: int = 0  # of the lease: distinguishes two leases of one attempt
    folder: str | None = None  # this lease's own folder; made already where the version's schema names files
    age_seconds: float = 0.0  # since its creation, however the clock was set; of work for a provider that is not local
    may_send: Callable[[], bool] = lambda: True  # asked right before a create is sent: False if the lease may be lost


class LogText(msgspec.Struct, frozen=True):
    """Text that the run printed, verbatim."""

    text: str


class OutputPart(msgspec.Struct, frozen=True, kw_only=True):
    """One item of an iterator (`more`), or the whole output.

    `paths` point at strings that are local files, `links` at URLs of files elsewhere: both are stored here before the
    output is shown. `origin` is the host and port of the service that has them, which may be at a private address.
    `passed`: it has links of a service whose files are not stored here, because its route says so.
    """

    value: msgspec.Raw
    paths: tuple[Pointer, ...] = ()
    links: tuple[Pointer, ...] = ()
    origin: tuple[str, int] | None = None
    more: bool = True
    passed: bool = False


class MetricValue(msgspec.Struct, frozen=True, kw_only=True):
    """A metric that the run recorded."""

    name: str
    value: object
    mode: Literal["replace", "incr", "append"] = "replace"


Progress = LogText | OutputPart | MetricValue
Emit = Callable[[Progress], None]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended. `predict_time` in seconds if the provider measured it; `reason` is a stable word for programs.

    `shared`: it ended together with other runs of its process, because of one of them or for an unknown reason.
    """

    status: Literal["succeeded", "failed", "canceled"]
    error: str | None = None
    reason: str | None = None
    predict_time: float | None = None
    shared: bool = False


class RunListener(Protocol):
    """Receives the report of a run: progress in order, then one end. Its methods are quick and never raise."""

    def emit(self, progress: Progress) -> None:
        """More progress."""
        ...

    def ended(self, outcome: Outcome) -> None:
        """The run has ended; its slot is free."""
        ...

    def succeeded(self, value: msgspec.Raw | None, predict_time: float | None) -> None:
        """The usual end in one call: the whole output, which names no files, if there is any, and success."""
        if value is not None:
            self.emit(OutputPart(value=value, more=False))
        self.ended(Outcome(status="succeeded", predict_time=predict_time))


class BegunRun(Protocol):
    """A run that began at once."""

    def cancel(self) -> None:
        """As `Provider.cancel`."""
        ...

    def listen(self, listener: RunListener) -> None:
        """Report to this listener from now on."""
        ...


class Provider(Protocol):
    """A kind of place that runs predictions. `docs/why/providers.md` describes its guarantees in the order of a run."""

    @property
    def is_local(self) -> bool:
        """Whether a run ends with this process: then nothing about submitting is stored, and nothing is adopted."""
        ...

    @property
    def wants_local_files(self) -> bool:
        """Whether input files are copied to this machine before `submit`; otherwise the input keeps its links."""
        ...

    def free_slots(self, version: str) -> int:
        """How many predictions of this version could begin right now. No I/O."""
        ...

    def request_capacity(self, version: str, *, alone: bool = False) -> None:
        """Make capacity for waiting predictions of this version (load a replica), then call `on_capacity`.

        `alone`: it needs a process in which nothing else runs. If there can be none, `on_broken` is called with the
        reason. Repeating is harmless.
        """
        ...

    def take_slot(self, version: str, *, alone: bool = False) -> bool:
        """Hold one free slot for a run that will be submitted; False if there is none.

        `drop_slot` releases it, or else the end of `follow`. `alone`: nothing else may run in the same process.
        """
        ...

    def drop_slot(self, version: str, *, alone: bool = False) -> None:
        """Release a held slot that is not needed; `alone` as it was taken."""
        ...

    async def submit(self, work: Work) -> str:
        """Begin the run in the held slot; returns a handle, which finds the run again after a restart of our process.

        Raises:
            SubmitRefused: nothing was begun, and it would be refused again.
            ProviderBusy: nothing was begun; it may be tried again later.
            OutcomeUnknown: it may have begun. This applies whenever a byte of the request was sent and no clear answer
                came; if the provider is not local, every other error means the same.
            Conflict, Busy, HalleyError: from a local provider only: like ProviderBusy, ProviderBusy and SubmitRefused.
        """
        ...

    def begin_at_once(self, work: Work, listener: RunListener) -> BegunRun | None:
        """`submit` and `follow` in one call that waits for nothing.

        The end is reported once, later than this call. None: nothing was begun, use `submit`. Only a local provider is
        asked, without files and without `Work.alone`.

        Raises:
            HalleyError: nothing was begun; the slot is still held, and `submit` says why.
        """
        ...

    async def adopt(self, work: Work, handle: str | None) -> str | None:
        """Take over a run that an earlier process submitted, or intended to: `handle`, if it was stored.

        Returns the handle to follow. None: it is certain that nothing was begun, and that no request of the earlier
        process can begin it later; then `submit` follows.

        A slot is held for it, unless its version has another provider now: see `Work.has_slot`.

        Raises:
            ProviderBusy: the provider cannot be asked now; it is asked again later.
            SubmitRefused: it is certain that nothing was begun, and it would be refused again; only without a handle.
            OutcomeUnknown: the provider cannot answer this. Every other error means the same.
        """
        ...

    async def follow(self, handle: str, emit: Emit) -> Outcome:
        """Report the run's progress in order through `emit` and return its outcome; then the slot is free.

        `emit` is quick and never raises. A run that dies gives a `failed` outcome with a reason for people. An adopted
        run is reported from its beginning: this method's caller leaves out what is recorded. If the provider is not
        local, cancelling a follower does not affect the run.
        """
        ...

    def cancel(self, handle: str) -> None:
        """Ask the run to stop; after the grace period it is stopped by force.

        `follow` still returns. Does nothing if it has ended.
        """
        ...


@runtime_checkable
class BoundProvider(Protocol):
    """An addition to `Provider`, if its runs elsewhere end with the connections of this process."""

    @property
    def loses_runs_at_stop(self) -> bool:
        """Whether its runs get the same time at a stop as those on this machine."""
        ...


def loses_runs(provider: Provider) -> bool:
    """Whether a stop of this process would end the runs of a provider elsewhere."""
    return isinstance(provider, BoundProvider) and provider.loses_runs_at_stop


class SlotSource(Protocol):
    """Where slots of a version are taken: one provider, or several that it may run at. See `Provider`."""

    def request_capacity(self, version: str, *, alone: bool = False) -> None: ...
    def take_slot(self, version: str, *, alone: bool = False) -> bool: ...
    def drop_slot(self, version: str, *, alone: bool = False) -> None: ...


class SubmitQuota(Protocol):
    """How many predictions a provider may get in 24 hours, and whether that number is reached."""

    def count(self) -> SubmitCount:
        """How a submit is counted now."""
        ...

    def note(self, seconds: float) -> None:
        """The store says that the next submit is allowed in so many seconds; 0: now."""
        ...


class SubmitReports(Protocol):
    """Records how submits to a provider end, and how long submits and runs take. Its blocks let every error pass."""

    def submitting(self) -> AbstractContextManager[None]:
        """`Provider.submit` is called in the block."""
        ...

    def pass_over(self, version: str, why: str) -> None:
        """It refuses this version for a reason of its own: others get its runs for some time."""
        ...

    def running(self) -> AbstractContextManager[None]:
        """A run that has just begun is followed to its end in the block."""
        ...


class OtherPlaces(Protocol):
    """The other providers that a version may run at."""

    def have_free_slot(self) -> bool:
        """Whether one has a free slot now."""
        ...

    def may_accept(self) -> bool:
        """Whether one may accept a run, now or later: it has not refused the version a moment ago."""
        ...


class HeldSlot(NamedTuple):
    """A slot that was taken, and the name of its provider. Without `quota` its submits are not counted."""

    name: str
    provider: Provider
    quota: SubmitQuota | None = None
    reports: SubmitReports | None = None
    others: OtherPlaces | None = None


class ProviderRouter(Protocol):
    """Finds the provider of a version."""

    def of(self, version: str) -> SlotSource:
        """Where slots of this version are taken; for an unknown version, one that reports it as broken. No I/O."""
        ...

    def held(self, version: str) -> HeldSlot:
        """The provider of a slot that was taken; it is asked once for each slot that is not dropped by `of`."""
        ...

    def named(self, name: str) -> Provider | None:
        """The provider of this name, for adopting its runs; None if this process has none."""
        ...

    def note_waiting(self, waiting: Mapping[str, int]) -> None:
        """How many predictions of each version wait, as the store has just counted them."""
        ...


class PreparedInput(Protocol):
    """An input (a JSON object) whose files are local: `paths` are their places."""

    @property
    def input(self) -> bytes: ...
    @property
    def paths(self) -> tuple[Pointer, ...]: ...


class InputStager(Protocol):
    """Copies the files of an input to this machine (implemented by assets)."""

    def has_files(self, version: str, openapi_schema: bytes) -> bool:
        """Whether the version's input can name files at all; cached by version."""
        ...

    async def stage(
        self,
        *,
        prediction_id: str,
        version: str,
        openapi_schema: bytes,
        account_id: str,
        work_input: bytes,
        folder: Path,
    ) -> PreparedInput:
        """Replace links in file positions by paths of local copies inside `folder`.

        Raises:
            HalleyError: a link cannot be used or fetched; the message names the input member.
        """
        ...


class KeptOutput(Protocol):
    """An output (a JSON value) whose files are stored: their paths are replaced by refs."""

    @property
    def value(self) -> Json: ...
    @property
    def files(self) -> tuple[OutputFile, ...]: ...


class OutputKeeper(Protocol):
    """Stores the files of an output (implemented by assets)."""

    async def keep(
        self,
        *,
        prediction_id: str,
        first_index: int,
        value: Json,
        paths: Sequence[Pointer],
        folder: Path | None,
        links: Sequence[Pointer] = (),
        origin: tuple[str, int] | None = None,
    ) -> KeptOutput:
        """Copy the files into the blobs; when this returns they are synced and readable. Links are fetched first, those
        at the `origin` from any address.

        Raises:
            StorageFull: no room; may be tried again.
            HalleyError: a file is missing or may not be read, or a link leads to none; the message names it.
        """
        ...


class Workspace(Protocol):
    """Run folders, one per lease, on the blobs' file system.

    They are text: every run has the name of one, and few use it.
    """

    def make(self, prediction_id: str, fence: int) -> str:
        """Make a new folder that no other lease of the prediction uses.

        Raises:
            StorageFull: no room.
        """
        ...

    def name(self, prediction_id: str, fence: int) -> str:
        """The path of the folder, for work that seldom needs one: the model's process makes it then."""
        ...

    async def remove(self, folder: str) -> None:
        """Delete the folder with its content, if it exists; never raises."""
        ...


class UnrunnableReports(Protocol):
    """Receives reports of what a worker cannot run (implemented by maintenance). A worker ends only predictions that it
    has leased.
    """

    def unknown(self, version: str) -> None:
        """Predictions wait for a version that this process does not know."""
        ...

    def broken(self, version: str, error: str, reason: str) -> None:
        """This process cannot run the version, for this reason."""
        ...
