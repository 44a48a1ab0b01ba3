"""A worker leaves alone what waits for a version that it does not know; another one may know it."""

from typing import Any

import pytest

from halley.predictions.status import Fact, Status
from halley.testing.stores.maker import Maker, row_of
from unit.dispatch.conftest import Bottle

pytestmark = pytest.mark.anyio


class Reports:
    """Fulfils UnrunnableReports: nobody in this process maintains."""

    def __init__(self) -> None:
        self.versions: list[str] = []

    def unknown(self, version: str) -> None:
        self.versions.append(version)

    def broken(self, version: str, error: str, reason: str) -> None:
        raise AssertionError


async def meets_unknown(bottle: Any) -> None:
    """The worker looks for work of a version that is not in its catalog."""
    reports = bottle.worker._reports = Reports()
    new = Maker().new(version="2" * 64)
    await bottle.store.create(new)
    await bottle.worker.open()
    await bottle.worker._claim(new.prediction.version)
    assert (await row_of(bottle.store, new.prediction.id)).status is Status.STARTING
    assert reports.versions == [new.prediction.version]


async def test_it_leaves_alone_what_it_does_not_know() -> None:
    await meets_unknown(Bottle(1))


async def test_planted_bug_a_worker_that_fails_what_it_does_not_know_is_found() -> None:
    bottle = Bottle(1)

    async def fail(version: str) -> None:
        for item in await bottle.store.claim(bottle.worker._session_id, {version: 9}, bottle.clock.now()):
            await bottle.store.finish(item.lease, Fact.FAILED, bottle.clock.now())

    bottle.worker._leave_alone = fail  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match=r"(?i)failed"):
        await meets_unknown(bottle)
