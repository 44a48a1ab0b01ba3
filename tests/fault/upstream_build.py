"""The test build of the server before a fake service: the real command, asks quickly, and may have a planted bug.

Real services limit how often they are asked; the fake one does not. `KILLS_PLANTED` in the environment names a bug:

- `intent_after_call`: the intent is stored behind the submit instead of before it;
- `retry_on_524`: the answer 524 counts as proof that nothing was begun;
- `adopt_skipped`: after a restart, what was submitted ends with an unknown outcome instead of being followed;
- `submit_instead_of_adopt`: after a restart, what was submitted is submitted again.
"""

import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

from msgspec.structs import replace

from halley.cli import serving
from halley.cli.main import main
from halley.dispatch import late_runs
from halley.dispatch.submission import Submission
from halley.egress import EgressResponse
from halley.errors import OutcomeUnknown
from halley.predictions.queue import Lease
from halley.predictions.submits import SubmitCount
from halley.providers.replicate import creates
from halley.providers.replicate.profiles import PROFILES, PollRules
from halley.providers.services.verdicts import SubmitAnswer, SubmitVerdict
from halley.store.sqlite import SqliteStore

SETTLE_SECONDS: Final = 2.0  # the fake service shows each run in its list at once
FAST: Final = PollRules(
    first_seconds=0.05, changed_seconds=0.05, longest_seconds=0.5, per_second=300.0, at_once=8, gone_seconds=5.0
)


def hurry() -> None:
    """Let all profiles poll at the intervals that a fake service takes."""
    for name, profile in PROFILES.items():
        settles = None if profile.settle_seconds is None else SETTLE_SECONDS
        PROFILES[name] = replace(profile, poll=FAST, settle_seconds=settles)
    late_runs.TURN_SECONDS = late_runs.FIRST_PAUSE_SECONDS = 0.3  # type: ignore[misc]


def intent_after_call() -> None:
    intents: dict[str, tuple[str, SubmitCount | None]] = {}
    record_intent, record_handle, withdraw = (
        SqliteStore.record_intent,
        SqliteStore.record_handle,
        SqliteStore.withdraw_intent,
    )

    async def record_nothing(self: SqliteStore, lease: Lease, provider: str, count: SubmitCount | None = None) -> None:
        del self
        intents[lease.prediction_id] = provider, count

    async def record_both(self: SqliteStore, lease: Lease, handle: str) -> None:
        intent = intents.pop(lease.prediction_id, None)
        if intent is not None:
            await record_intent(self, lease, *intent)
        await record_handle(self, lease, handle)

    async def withdraw_late(self: SqliteStore, lease: Lease) -> None:
        if intents.pop(lease.prediction_id, None) is None:
            await withdraw(self, lease)

    SqliteStore.record_intent = record_nothing  # type: ignore[method-assign]
    SqliteStore.record_handle = record_both  # type: ignore[method-assign]
    SqliteStore.withdraw_intent = withdraw_late  # type: ignore[method-assign]


def retry_on_524() -> None:
    read = creates.read_submit

    def read_wrongly(profile: Any, response: EgressResponse, body: Any) -> SubmitAnswer:
        found = read(profile, response, body)
        return replace(found, verdict=SubmitVerdict.BUSY) if response.status == 524 else found

    creates.read_submit = read_wrongly


def adopt_skipped() -> None:
    async def give_up(self: Submission, *_: object) -> str | None:
        del self
        raise OutcomeUnknown("The server was started again.")

    Submission._adopted = give_up  # type: ignore[method-assign]


def submit_instead_of_adopt() -> None:
    async def submit(self: Submission, work: Any, is_stopped: Callable[[], bool]) -> str | None:
        submitted: Awaitable[str | None] = self._submitted(work, is_stopped)
        return await submitted

    Submission._adopted = submit  # type: ignore[method-assign]


PLANTED: Final = (intent_after_call, retry_on_524, adopt_skipped, submit_instead_of_adopt)

if __name__ == "__main__":
    hurry()
    for bug in PLANTED:
        if bug.__name__ == os.environ.get("KILLS_PLANTED"):
            bug()
    serving.become_server = lambda wish: sys.exit(serving.serve(wish))  # another process would not have the bug
    main()
