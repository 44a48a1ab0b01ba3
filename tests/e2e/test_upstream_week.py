"""A week in seconds before a stand-in of CometAPI that deletes its files: results stay, with the same bytes."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standins import TOKEN, CometStandIn, Delivered

from api.world import Asker
from halley.app.services import build
from halley.settings import ReplicateSettings, RouteSettings, Settings
from halley.store.folder import hold
from halley.store.sqlite import open_sqlite
from halley.testing.clock import FakeClock

pytestmark = [pytest.mark.anyio, pytest.mark.e2e, pytest.mark.timeout(300)]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ROOT = "http://localhost:1986"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 300
SOUND = b"RIFF\x00\x00\x00\x00WAVE" + bytes(range(256)) * 50


class Week(Asker):
    """A server in this process, as it ships, under a clock that the test moves."""

    def __init__(self, home: Path, url: str) -> None:
        self.clock = FakeClock(datetime.fromisoformat("2026-03-01T00:00:00+00:00"))
        self.settings = Settings(
            data=home / "data",
            providers={
                "comet": ReplicateSettings(
                    kind="replicate", url=f"{url}/replicate/v1", token_env="COMETAPI_KEY", profile="cometapi"
                )
            },
            routes={"acme/*": RouteSettings(providers=("comet",))},
        )

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        """The server runs during the block; it may be started again."""
        environ = {"PATH": os.environ["PATH"], "COMETAPI_KEY": TOKEN}
        building = build(self.settings, environ, open_sqlite, clock=self.clock)
        with hold(self.settings.data):
            async with building as parts, asyncio.TaskGroup() as tasks:
                self.api, self.retention = parts.api, parts.retention
                await parts.maintainer.open()
                await parts.worker.open()
                services = [parts.worker.run(), parts.maintainer.run(), parts.api.parts.hub.run()]
                running = [tasks.create_task(service) for service in services]
                await parts.upstreams.imported.load()
                if not hasattr(self, "token"):
                    self.token, _ = await parts.keys.issue("alice", "key")
                yield
                await parts.worker.drain(5)
                for task in running:
                    task.cancel()

    async def ended(self, prediction_id: str) -> Any:
        """The prediction when it has ended; the clock goes on meanwhile."""
        for _ in range(1000):
            row = (await self.get(f"/v1/predictions/{prediction_id}")).json()
            if "completed_at" in row:
                return row
            await asyncio.sleep(0.01)
            self.clock.advance(0.25)
        raise AssertionError(row)

    async def bytes_of(self, prediction_id: str) -> list[bytes]:
        """What its links of now lead to, without a key."""
        row = (await self.get(f"/v1/predictions/{prediction_id}")).json()
        assert all(link.startswith(f"{ROOT}/d/") for link in row["output"])
        replies = [await self.get(link.removeprefix(ROOT), token=None) for link in row["output"]]
        assert [reply.status for reply in replies] == [200] * len(replies)
        return [reply.body for reply in replies]


async def test_outputs_are_there_a_week_after_the_service_has_deleted_them(tmp_path: Path) -> None:
    with CometStandIn() as comet:
        links = [
            comet.put("a", Delivered("out-0.png", PICTURE)),
            comet.put("b", Delivered("out-1.wav", SOUND, content_type="audio/wav", cut_at=1000)),
        ]
        comet.on_create = lambda first: [first, {**first, "status": "succeeded", "output": links}]
        week = Week(tmp_path, comet.url)
        async with week.up():
            made = (await week.post("/v1/models/acme/painter/predictions", {"input": {"prompt": "sea"}})).json()
            row = await week.ended(made["id"])
            assert row["status"] == "succeeded", row
            comet.files.clear()
            first = row["output"]
            assert await week.bytes_of(made["id"]) == [PICTURE, SOUND]
            for _ in range(9):
                week.clock.advance(8 * 3600)
                await week.retention.look()
                assert await week.bytes_of(made["id"]) == [PICTURE, SOUND]
        async with week.up():  # after a restart in the middle of the week
            for _ in range(12):
                week.clock.advance(8 * 3600)
                await week.retention.look()
                assert await week.bytes_of(made["id"]) == [PICTURE, SOUND]
            assert week.clock.now() - datetime.fromisoformat(row["completed_at"]) > 7 * DAY - HOUR
            last = (await week.get(f"/v1/predictions/{made['id']}")).json()
            assert last | {"output": None} == row | {"output": None}
            assert not set(last["output"]) & set(first)  # links end, and are made anew at each read
            assert (await week.get(first[0].removeprefix(ROOT), token=None)).status == 404
            assert comet.url not in str(last)
