"""A provider whose address or token is another than at the submit: that it shows no run then proves nothing."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from halley.dispatch.open_submits import OpenSubmits
from halley.dispatch.ports import Work
from halley.dispatch.routing import ProviderRoute
from halley.dispatch.submission import Submission, SubmitRules
from halley.errors import OutcomeUnknown
from halley.predictions.queue import Claimed
from halley.predictions.status import SubmitState
from halley.predictions.submits import SubmitCount
from halley.testing.dispatch import ScriptedProvider
from unit.dispatch.conftest import Harness

pytestmark = pytest.mark.anyio
T = TypeVar("T")


class Service(ScriptedProvider):
    """A service that shows no run, and notes whether it may be sent something to find one."""

    is_local = False
    place = "here.now"
    may_share_run_ids = False

    def __init__(self) -> None:
        super().__init__()
        self.may_send: list[bool] = []

    async def adopt(self, work: Work, handle: str | None) -> str | None:
        self.may_send.append(work.may_send())
        return handle


async def once(write: Callable[[], Awaitable[T]]) -> T:
    return await write()


async def claimed_again(stopped: Harness, place: str, handle: str | None) -> Claimed:
    """A prediction that was intended, and perhaps submitted, at this place before a restart."""
    store, clock = stopped.store, stopped.clock
    made = await stopped.create()
    await store.open_session("s1", clock.now(), 20.0)
    (first,) = await store.claim("s1", {made.version: 1}, clock.now())
    await store.record_intent(first.lease, "a", SubmitCount(clock.now(), None, place))
    if handle is not None:
        await store.record_handle(first.lease, handle)
    await store.release(first.lease, clock.now())
    (claimed,) = await store.claim("s1", {made.version: 1}, clock.now())
    return claimed


def submission_of(stopped: Harness, claimed: Claimed, service: Service) -> tuple[Submission, Work]:
    submission = Submission(
        claimed,
        route=ProviderRoute(service, "a"),
        ledger=stopped.store,
        rules=SubmitRules(once, 1e9, OpenSubmits()),
    )
    row = claimed.prediction
    work = Work(
        prediction_id=row.id,
        attempt=1,
        version=row.version,
        model=row.model,
        input=b"{}",
        may_send=submission.may_send,
    )
    return submission, work


@pytest.mark.parametrize(
    ("place", "is_sent"),
    [("here.now", True), ("", True), ("here.before", False), ("there.before", False), ("now", True), ("before", False)],
)
async def test_what_was_intended_elsewhere_is_not_sent(stopped: Harness, place: str, is_sent: bool) -> None:
    store, service = stopped.store, Service()
    submission, work = submission_of(stopped, await claimed_again(stopped, place, None), service)
    if is_sent:
        assert await submission.begin(work, lambda: False) == "0"
    else:
        with pytest.raises(OutcomeUnknown, match="another address or token"):
            await submission.begin(work, lambda: False)
    assert (service.may_send, len(service.runs)) == ([is_sent], int(is_sent))
    row = await store.get(work.prediction_id)
    assert row is not None
    assert row.submit_state is (SubmitState.SUBMITTED if is_sent else SubmitState.UNKNOWN)


@pytest.mark.parametrize(
    ("place", "counts_runs", "is_followed"),
    [
        ("here.now", True, True),
        ("here.before", True, True),  # only its token was replaced
        ("there.before", False, True),  # ids of its runs are random
        ("there.before", True, False),
        ("before", True, True),  # stored by a version that did not tell the address from the token
        ("", True, True),
    ],
)
async def test_an_id_is_not_looked_up_at_another_service_that_counts_its_runs(
    stopped: Harness, place: str, counts_runs: bool, is_followed: bool
) -> None:
    service = Service()
    service.place, service.may_share_run_ids = "here.now", counts_runs
    submission, work = submission_of(stopped, await claimed_again(stopped, place, "7"), service)
    if is_followed:
        assert await submission.begin(work, lambda: False) == "7"
    else:
        with pytest.raises(OutcomeUnknown, match="another address"):
            await submission.begin(work, lambda: False)
        assert service.may_send == [], "it is not asked"
