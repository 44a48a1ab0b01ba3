"""A whole replica for one prediction: where it cannot harm others, and where its death is its own."""

from collections.abc import Sequence

from halley.dispatch.ports import Work
from halley.errors import Overloaded
from halley.replicas.replica import Replica, State
from halley.replicas.replica_call import ReplicaCall


class ExclusiveReplica:
    """At most one replica of a pool at a time: it is saved, runs empty, is taken, and runs one prediction."""

    def __init__(self) -> None:
        self.is_wanted = False
        self.is_taken = False
        self._has_begun = False
        self._saved: Replica | None = None

    def find(self, replicas: Sequence[Replica], held: int) -> bool:
        """Whether a replica is empty and can be taken; if there is none, the next that runs empty is saved.

        `held` slots of the others are promised.
        """
        if self.is_taken:
            return False
        self.look()
        if self._saved is None:
            ready = [replica for replica in replicas if replica.can_begin]
            for replica in sorted(ready, key=lambda each: len(each.runs)):
                if sum(other.free for other in ready if other is not replica) >= held:
                    replica.is_saved, self._saved = True, replica
                    break
        return self._saved is not None and not self._saved.runs

    def take(self, replicas: Sequence[Replica], held: int) -> bool:
        """Hold it."""
        if self.is_taken or not self.find(replicas, held):
            return False
        self.is_taken = True
        return True

    def begin(self, work: Work) -> ReplicaCall:
        """Run in the replica that was taken.

        Raises:
            HalleyError: nothing was begun.
        """
        if self._saved is None:
            raise Overloaded("The process that was kept for this prediction ended before it began; it can run again.")
        run = self._saved.begin(work)
        self._has_begun = True
        return run

    def let_go(self) -> None:
        """It is free for all again."""
        if self._saved is not None:
            self._saved.is_saved = False
        self._saved, self.is_taken, self._has_begun = None, False, False

    def let_go_if_unwanted(self) -> None:
        """Its caller may have been canceled."""
        if not self.is_taken and not self.is_wanted:
            self.let_go()

    def look(self) -> None:
        """A run ended, or a replica: let go of one that is not needed or not there any more."""
        saved = self._saved
        if saved is None:
            return
        if self._has_begun and not saved.runs:
            self.let_go()
        elif saved.state is not State.READY:
            saved.is_saved, self._saved = False, None  # its taker is notified when it begins
