"""What the app builds of webhooks: where they may go. Source: design section 7."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from halley.app.webhooks import WebhookParts, is_loopback_open
from halley.bus.local import LocalBus
from halley.clock import SystemClock
from halley.egress import network
from halley.ids import TimeOrderedIds
from halley.predictions.hints import Changed
from halley.predictions.progress_cache import ProgressCache
from halley.predictions.status import Fact
from halley.retention.periods import Endless
from halley.settings import EgressSettings, ServerSettings, Settings, WebhookSettings
from halley.store.secrets import Secrets
from halley.store.sqlite import SqliteStore, open_sqlite
from halley.testing.stores.maker import LEASE_SECONDS, VERSION, Maker
from halley.webhooks.records import Delivery
from unit.egress.test_client import Host, answer, host
from unit.webhooks.conftest import Plain

__all__ = ["host"]
NAME = "receiver.example"


@pytest.mark.parametrize(
    ("server", "is_open"),
    [
        ({}, True),
        ({"host": "127.0.0.5"}, True),
        ({"host": "::1"}, True),
        ({"host": "localhost"}, True),
        ({"host": "0.0.0.0"}, False),
        ({"host": "::"}, False),
        ({"host": "192.168.1.4"}, False),
        ({"host": "myhost"}, False),
        ({"public_url": "http://localhost:1986"}, True),
        ({"public_url": "https://halley.example.com"}, False),
        ({"trusted_proxies": ("10.0.0.0/8",)}, False),
        ({"allowed_hosts": ("localhost:8443", "[::1]:80", "127.0.0.1")}, True),
        ({"allowed_hosts": ("halley.example.com",)}, False),
        ({"allowed_hosts": ("localhost", "halley.example.com:8443")}, False),
    ],
)
def test_loopback_is_open_only_where_all_callers_are_on_this_machine(server: dict, is_open: bool) -> None:
    assert is_loopback_open(Settings(data=Path("/nowhere"), server=ServerSettings(**server))) is is_open


class Office:
    """Webhooks as the app builds them, on a real store, with names that lead where the test says."""

    def __init__(self, settings: Settings, store: SqliteStore) -> None:
        self.store = store
        self.bus = LocalBus()
        self.maker = Maker()
        clock = SystemClock()
        self.office = WebhookParts(
            settings,
            Secrets(key_pepper=b"p" * 32, link_key=b"l" * 32),
            store=store,
            running=ProgressCache(clock),
            bus=self.bus,
            data_ends=Endless(),
            clock=clock,
            new_id=TimeOrderedIds(clock),
        )

    async def done(self, hook: str) -> str:
        """A prediction that has ended. Its webhook passed the http_sender of the create."""
        assert self.office.admin.fault(hook) is None
        new = self.maker.new(webhook=hook)
        await self.store.create(new)
        session = f"s{new.prediction.id}"
        await self.store.open_session(session, self.maker.clock.now(), LEASE_SECONDS)
        (claimed,) = await self.store.claim(session, {VERSION: 1}, self.maker.clock.now())
        await self.store.finish(
            claimed.lease, Fact.SUCCEEDED, self.maker.clock.now(), events=[self.maker.started(), self.maker.output(1)]
        )
        self.bus.publish(Changed(new.prediction.id))
        return new.prediction.id

    async def wait_for(self, prediction_id: str, is_enough: Callable[[list[Delivery]], bool]) -> list[Delivery]:
        """Its attempts, oldest first."""
        for _ in range(500):
            found = await self.office.admin.page("anna", limit=100, prediction_id=prediction_id)
            if is_enough(found):
                return found[::-1]
            await asyncio.sleep(0.02)
        raise AssertionError(found)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Office]:
    async with open_sqlite(settings.data / "halley.db") as store:
        office = Office(settings, store)
        service = office.office.service(Plain())
        office.bus.subscribe(service.receive)
        task = asyncio.create_task(service.run())
        try:
            yield office
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("is_open", "inside"),
    [
        *((is_open, inside) for is_open in (True, False) for inside in ("10.0.0.1", "169.254.169.254", "::ffff:a00:1")),
        (False, "127.0.0.9"),
    ],
)
async def test_a_name_that_changes_to_a_private_address_between_attempts_is_refused(
    tmp_path: Path, host: Host, monkeypatch: pytest.MonkeyPatch, is_open: bool, inside: str
) -> None:
    leads_to = ["127.0.0.1"]  # what stands for a place outside: the operator has opened this very address

    async def resolve(name: str, port: int) -> list[str]:
        assert (name, port) == (NAME, host.port)
        return leads_to

    monkeypatch.setattr(network, "system_resolve", resolve)
    settings = Settings(
        data=tmp_path,
        server=ServerSettings(public_url=None if is_open else "https://halley.example.com"),
        egress=EgressSettings(allow=(f"127.0.0.1:{host.port}",)),
        webhooks=WebhookSettings(http=True, retry_first_seconds=0.05, retry_for_seconds=60),
    )
    host.answers["/hook"] = answer(b"", "503 Service Unavailable")
    async with running(settings) as office:
        made = await office.done(host.url("/hook", NAME))
        (first, *_) = await office.wait_for(made, lambda found: any(one.status == 503 for one in found))
        leads_to[:] = [inside]
        await office.wait_for(made, lambda found: found[0].outcome is not None and found[0].status is None)
        reached = len(host.requests)
        log = await office.wait_for(made, lambda found: sum(one.outcome is not None for one in found) > reached + 1)
        assert len(host.requests) == reached
        refused = [one for one in log if one.outcome is not None and one.status is None]
        assert refused
        assert all("not reachable from here" in (one.error or "") for one in refused)
        leads_to[:] = ["127.0.0.1"]
        host.answers["/hook"] = answer(b"", "204 No Content")
        last = (await office.wait_for(made, lambda found: found[0].status == 204))[-1]
        assert last.message_id == first.message_id
        assert len(host.requests) == reached + 1
