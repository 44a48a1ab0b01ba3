"""The runs of a service that this process follows, or is about to."""

from halley.providers.replicate.poller import Look, Watch


class Run:
    """One run there. `version` is our id; `has_slot`: the end of following releases a slot of it. `is_new`: it began
    in this moment.
    """

    def __init__(self, handle: str, version: str, *, has_slot: bool, is_new: bool) -> None:
        self.handle = handle
        self.version = version
        self.has_slot = has_slot
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
