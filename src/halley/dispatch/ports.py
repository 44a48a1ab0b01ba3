"""What dispatch needs: places that run predictions, and keepers of files on either side."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from halley.predictions.large import Json
from halley.predictions.records import OutputFile

Pointer = tuple[str | int, ...]
"""Where a value sits inside a JSON value: member names and list indexes from the top."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction as a provider sees it. Files are already local; `paths` says where they are inside `input`."""

    prediction_id: str
    attempt: int
    version: str
    model: str
    input: bytes  # JSON object
    context: bytes | None = None  # JSON object of strings
    alone: bool = False  # it was submitted into a slot that was taken `alone`
    paths: tuple[Pointer, ...] = ()
    fence: int = 0  # of the lease: two leases of one attempt must not be mixed up
    folder: str | None = None  # this lease's own folder; made already where the version's schema names files


class LogText(msgspec.Struct, frozen=True):
    """Text that the run printed, verbatim."""

    text: str


class OutputPart(msgspec.Struct, frozen=True, kw_only=True):
    """One item of an iterator (`more`), or the whole output.

    `paths` point at strings that are local files, `links` at URLs of files elsewhere: both are stored here before
    anybody sees the output.
    """

    value: msgspec.Raw
    paths: tuple[Pointer, ...] = ()
    links: tuple[Pointer, ...] = ()
    more: bool = True


class MetricValue(msgspec.Struct, frozen=True, kw_only=True):
    """A metric that the run recorded."""

    name: str
    value: object
    mode: Literal["replace", "incr", "append"] = "replace"


Progress = LogText | OutputPart | MetricValue
Emit = Callable[[Progress], None]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended. `predict_time` in seconds if the place measured it; `reason` is a stable word for machines.

    `shared`: it ended with others in the same process, by another's fault or nobody knows by whose.
    """

    status: Literal["succeeded", "failed", "canceled"]
    error: str | None = None
    reason: str | None = None
    predict_time: float | None = None
    shared: bool = False


class Provider(Protocol):
    """A kind of place that runs predictions. `docs/why/providers.md` has the promises in the order of a run's life."""

    @property
    def is_local(self) -> bool:
        """True if a run ends with this process: then nothing about submitting is stored, and nothing is adopted."""
        ...

    @property
    def wants_local_files(self) -> bool:
        """True if the files of an input are to be brought here before `submit`; else the input keeps its links."""
        ...

    def free_slots(self, version: str) -> int:
        """How many predictions of this version could begin right now. No I/O."""
        ...

    def want(self, version: str, *, alone: bool = False) -> None:
        """Work of this version waits: make room (load a replica) and call the `on_room` callback when there is some.

        `alone`: it needs a place in which nothing else runs. If there can be none, `on_broken` is called with the
        reason. Repeating is harmless.
        """
        ...

    def take_slot(self, version: str, *, alone: bool = False) -> bool:
        """Hold one free slot for a run that will be submitted; False if there is none.

        `drop_slot` gives it back, or else the end of `follow` does. `alone`: nothing else may run in the same process.
        """
        ...

    def drop_slot(self, version: str, *, alone: bool = False) -> None:
        """The held slot is not needed after all; `alone` as it was taken."""
        ...

    async def submit(self, work: Work) -> str:
        """Begin the run in the held slot; returns a handle, which finds the run again after a restart of ours.

        Raises:
            SubmitRefused: nothing was begun, and it would be refused again.
            ProviderBusy: nothing was begun; it may be tried again later.
            OutcomeUnknown: it may have begun. So it is whenever a byte of the request has left and no clear answer has
                come; if the place is not local, every other error means the same.
            Conflict, Busy, HalleyError: from a local place only: as ProviderBusy, ProviderBusy and SubmitRefused.
        """
        ...

    async def adopt(self, work: Work, handle: str | None) -> str | None:
        """Take over a run that an earlier process submitted, or meant to: `handle`, if it had come to know one.

        Returns the handle to follow. None: it is certain that nothing was begun, and that no request of the earlier
        process can begin anything later; then `submit` follows.

        Raises:
            ProviderBusy: the place cannot be asked now; it is asked again later.
            OutcomeUnknown: the place cannot tell. Every other error means the same.
        """
        ...

    async def follow(self, handle: str, emit: Emit) -> Outcome:
        """Report the run's progress in order through `emit` and return its outcome; then the slot is free.

        `emit` is quick and never raises. A run that dies gives a `failed` outcome with a reason a person understands.
        An adopted run is reported from its beginning: what is recorded already is left out here. If the place is not
        local, a follower that is cancelled leaves the run alone.
        """
        ...

    def cancel(self, handle: str) -> None:
        """Ask the run to stop; after the grace period it is stopped by force.

        `follow` still returns. Harmless if it has ended.
        """
        ...


class ProviderRouter(Protocol):
    """Which provider serves what."""

    def of(self, version: str) -> Provider:
        """The provider of this version; for one that nobody serves, one that says so. No I/O."""
        ...


class PreparedInput(Protocol):
    """An input (a JSON object) whose files are local: `paths` says where."""

    @property
    def input(self) -> bytes: ...
    @property
    def paths(self) -> tuple[Pointer, ...]: ...


class InputStager(Protocol):
    """Brings the files of an input here (assets fills it)."""

    def has_files(self, version: str, openapi_schema: bytes) -> bool:
        """True if the version's input can name files at all; cached by version."""
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
    """An output (a JSON value) whose files are stored for good: their paths are replaced by refs."""

    @property
    def value(self) -> Json: ...
    @property
    def files(self) -> tuple[OutputFile, ...]: ...


class OutputKeeper(Protocol):
    """Stores the files of an output (assets fills it)."""

    async def keep(
        self,
        *,
        prediction_id: str,
        first_index: int,
        value: Json,
        paths: Sequence[Pointer],
        folder: Path | None,
        links: Sequence[Pointer] = (),
    ) -> KeptOutput:
        """Copy the files into the blobs; when this returns they are synced and readable. Links are fetched first.

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
        """A fresh folder that no other lease of the prediction shares.

        Raises:
            StorageFull: no room.
        """
        ...

    def name(self, prediction_id: str, fence: int) -> str:
        """Where it would be, for work that hardly ever needs one: the model's process makes it then."""
        ...

    async def remove(self, folder: str) -> None:
        """Delete the folder, if it is there, and all that is in it; never raises."""
        ...


class UnrunnableReports(Protocol):
    """Takes what a worker cannot run (maintenance fills it). A worker itself ends nothing of which it has no lease."""

    def unknown(self, version: str) -> None:
        """Somebody waits for a version that this process does not know."""
        ...

    def broken(self, version: str, error: str, reason: str) -> None:
        """This process cannot run the version, for this reason."""
        ...
