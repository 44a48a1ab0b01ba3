"""The runs of a service that this process follows, or is about to."""

from collections.abc import Mapping

from halley.dispatch.ports import Work
from halley.dispatch.upstream_hooks import Hook
from halley.providers.services.poller import PolledState, Watch
from halley.providers.services.run_snapshot import RunSnapshot


def slots_of(runs: Mapping[str, "Run"]) -> int:
    """How many slots these runs hold."""
    return sum(run.has_slot for run in runs.values())


class Run:
    """One run at the service. `has_slot`: the end of following releases a slot of its version. `is_new`: it began just
    now.

    `first`: its state in the answer to the create.
    """

    def __init__(
        self, handle: str, work: Work, *, is_new: bool, first: RunSnapshot | None = None, hook: Hook | None = None
    ) -> None:
        self.handle = handle
        self.first = first
        self.hook = hook
        self.prediction_id = work.prediction_id
        self.version = work.version
        self.has_slot = work.has_slot
        self.is_new = is_new
        self.is_canceled = False
        self._is_given_up = False
        self._watch: Watch | None = None

    def watched_by(self, watch: Watch | None) -> None:
        """A follower polls it with this watch from now on; None: the follower has ended."""
        self._watch = watch
        if watch is not None and self._is_given_up:
            watch.end(PolledState(is_over=True))

    def hasten(self) -> None:
        """Poll soon: its state may have changed."""
        if self._watch is not None:
            self._watch.hasten()

    def give_up(self) -> None:
        """Stop following the run although it has not ended."""
        self._is_given_up = True
        if self._watch is not None:
            self._watch.end(PolledState(is_over=True))
