"""The runs of a service that this process follows, or is about to."""

from collections.abc import Mapping

from halley.dispatch.ports import Work
from halley.dispatch.upstream_hooks import Hook
from halley.providers.services.poller import Look, Watch
from halley.providers.services.seen import SeenRun


def slots_of(runs: Mapping[str, "Run"]) -> int:
    """How many slots these hold: submits that were answered."""
    return sum(run.has_slot for run in runs.values())


class Run:
    """One run there. `has_slot`: the end of following releases a slot of its version. `is_new`: it began just now.

    `first`: as the answer to the create showed it.
    """

    def __init__(
        self, handle: str, work: Work, *, is_new: bool, first: SeenRun | None = None, hook: Hook | None = None
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
        """A follower polls it now, or has ended."""
        self._watch = watch
        if watch is not None and self._is_given_up:
            watch.end(Look(is_over=True))

    def hasten(self) -> None:
        """Its state has changed, or may have."""
        if self._watch is not None:
            self._watch.hasten()

    def give_up(self) -> None:
        """End the following without an end of the run."""
        self._is_given_up = True
        if self._watch is not None:
            self._watch.end(Look(is_over=True))
