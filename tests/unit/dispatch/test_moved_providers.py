"""A provider whose address or token is another than at the submit: that it shows no run then proves nothing."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from halley.dispatch.open_submits import OpenSubmits
from halley.dispatch.ports import Work
from halley.dispatch.routing import ProviderRoute
from halley.dispatch.submission import Submission, SubmitRules
from halley.errors import OutcomeUnknown
from halley.predictions.status import SubmitState
from halley.predictions.submits import SubmitCount
from halley.testing.dispatch import ScriptedProvider
from unit.dispatch.conftest import Harness

pytestmark = pytest.mark.anyio
T = TypeVar("T")


class Service(ScriptedProvider):
    """A service that shows no run, and notes whether it may be sent something to find one."""

    is_local = False
    place = "now"

    def __init__(self) -> None:
        super().__init__()
        self.may_send: list[bool] = []

    async def adopt(self, work: Work, handle: str | None) -> str | None:
        self.may_send.append(work.may_send())
        return await super().adopt(work, handle)


async def once(write: Callable[[], Awaitable[T]]) -> T:
    return await write()


@pytest.mark.parametrize(("place", "is_sent"), [("now", True), ("", True), ("before", False)])
async def test_what_was_intended_elsewhere_is_not_sent(stopped: Harness, place: str, is_sent: bool) -> None:
    store, clock, service = stopped.store, stopped.clock, Service()
    made = await stopped.create()
    await store.open_session("s1", clock.now(), 20.0)
    (first,) = await store.claim("s1", {made.version: 1}, clock.now())
    await store.record_intent(first.lease, "a", SubmitCount(clock.now(), None, place))
    await store.release(first.lease, clock.now())
    (claimed,) = await store.claim("s1", {made.version: 1}, clock.now())
    submission = Submission(
        claimed,
        route=ProviderRoute(service, "a"),
        ledger=store,
        rules=SubmitRules(once, 1e9, OpenSubmits()),
    )
    work = Work(
        prediction_id=made.id,
        attempt=1,
        version=made.version,
        model=made.model,
        input=b"{}",
        may_send=submission.may_send,
    )
    if is_sent:
        assert await submission.begin(work, lambda: False) == "0"
    else:
        with pytest.raises(OutcomeUnknown, match="another address or token"):
            await submission.begin(work, lambda: False)
    assert (service.may_send, len(service.runs)) == ([is_sent], int(is_sent))
    row = await store.get(made.id)
    assert row is not None
    assert row.submit_state is (SubmitState.SUBMITTED if is_sent else SubmitState.UNKNOWN)
