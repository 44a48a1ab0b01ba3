"""Reserves a whole replica for one prediction, so that its crash can harm no other prediction."""

from collections.abc import Sequence

from halley.dispatch.ports import RunListener, Work
from halley.errors import Overloaded
from halley.replicas.replica import Replica, State
from halley.replicas.replica_call import ReplicaCall


class ExclusiveReplica:
    """At most one replica of a pool at a time: it is reserved, runs empty, is taken, and runs one prediction."""

    def __init__(self) -> None:
        self.is_wanted = False
        self.is_taken = False
        self._has_begun = False
        self._reserved: Replica | None = None

    def find(self, replicas: Sequence[Replica], held: int) -> bool:
        """Whether an empty replica can be taken; if there is none, the next one that becomes empty is reserved.

        `held` slots are promised to other callers.
        """
        if self.is_taken:
            return False
        self.release_if_done()
        if self._reserved is None:
            ready = [replica for replica in replicas if replica.can_begin]
            for replica in sorted(ready, key=lambda each: len(each.runs)):
                if sum(other.free for other in ready if other is not replica) >= held:
                    replica.is_reserved, self._reserved = True, replica
                    break
        return self._reserved is not None and not self._reserved.runs

    def take(self, replicas: Sequence[Replica], held: int) -> bool:
        """Take the replica that `find` found; False if there is none."""
        if self.is_taken or not self.find(replicas, held):
            return False
        self.is_taken = True
        return True

    def begin(self, work: Work, listener: RunListener) -> ReplicaCall:
        """Run in the replica that was taken.

        Raises:
            HalleyError: nothing was begun.
        """
        if self._reserved is None:
            raise Overloaded("The process that was kept for this prediction ended before it began; it can run again.")
        run = self._reserved.begin(work, listener)
        self._has_begun = True
        return run

    def release(self) -> None:
        """Release the replica for all predictions."""
        if self._reserved is not None:
            self._reserved.is_reserved = False
        self._reserved, self.is_taken, self._has_begun = None, False, False

    def release_if_unwanted(self) -> None:
        """Release it if no caller wants it: the caller may have been canceled."""
        if not self.is_taken and not self.is_wanted:
            self.release()

    def release_if_done(self) -> None:
        """Release the reserved replica if its run or the replica itself has ended."""
        reserved = self._reserved
        if reserved is None:
            return
        if self._has_begun and not reserved.runs:
            self.release()
        elif reserved.state is not State.READY:
            reserved.is_reserved, self._reserved = False, None  # the caller that took it is notified when it begins
