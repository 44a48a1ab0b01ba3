"""Days in seconds: the whole composition, a real database, real files and real models, under a clock that we move.

After each step an account of what must be there is compared with what is: over HTTP before and after the removal, on
the disk, and in the database. What was removed too late, too early or for nothing shows at the step where it happens.
"""

import asyncio
import hashlib
import json
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from api.world import Asker
from halley.app.local_runtime import find_isolation
from halley.app.services import Services, build
from halley.app.wanted import wanted_models
from halley.keys.records import KeyOptions
from halley.predictions.service import CreateRequest
from halley.predictions.status import Source
from halley.settings import LimitSettings, ModelSettings, RetentionSettings, RunSettings, Settings
from halley.store.folder import hold
from halley.store.sqlite import open_sqlite
from halley.testing.clock import FakeClock

pytestmark = [pytest.mark.anyio, pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LINK: Final = DAY
FILE_LIFE: Final = timedelta(hours=24)
ROOT: Final = "http://localhost:1986"

CODE: Final = """
import pathlib
import tempfile
import time

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, text: str, file: Path = None, wait_for: str = "", breaks: bool = False) -> Path:
        print("printing", text)
        while wait_for and not pathlib.Path(wait_for).exists():
            time.sleep(0.01)
        if breaks:
            raise ValueError("broken on purpose")
        out = pathlib.Path(tempfile.mkdtemp()) / "out.txt"
        out.write_text(text + (file.read_text() if file else ""))
        return Path(out)
"""


class Made(msgspec.Struct, kw_only=True):
    """A prediction as it was when it had ended, and what becomes of it."""

    shown: dict[str, Any]
    content: bytes | None  # of its one output file; None if it failed
    period: timedelta | None
    links: list[tuple[datetime, str]] = []

    @property
    def id(self) -> str:
        return str(self.shown["id"])

    @property
    def ends_at(self) -> datetime | None:
        completed = datetime.fromisoformat(self.shown["completed_at"])
        return None if self.period is None else completed + self.period


class Sent(msgspec.Struct, kw_only=True):
    """An upload."""

    id: str
    content: bytes
    expires_at: datetime


class Days(Asker):
    """A server that lives through days; and the account of what must be there."""

    def __init__(self, home: Path, retention: RetentionSettings) -> None:
        self.home = home
        self.clock = FakeClock(datetime.fromisoformat("2026-03-01T00:00:00+00:00"))
        for name in ("print", "brief"):
            (home / name).mkdir()
            (home / name / "predict.py").write_text(CODE)
            # equal files under two names are one version; what differs is told apart
            (home / name / "name.txt").write_text(name)
        self.settings = Settings(
            data=home / "data",
            retention=retention,
            limits=LimitSettings(file_life_seconds=FILE_LIFE.total_seconds(), link_seconds=LINK.total_seconds()),
            # nothing runs for long, but hours pass in between
            runs=RunSettings(
                run_timeout_seconds=1e9, max_queue_seconds=1e9, health_check_seconds=1e9, health_timeout_seconds=1e9
            ),
            models={
                "acme/print": ModelSettings(path=home / "print", preload=True),
                "acme/brief": ModelSettings(path=home / "brief", preload=True, retention="2h"),
            },
        )
        self.general = timedelta(seconds={"6h": 21_600, "30d": 2_592_000}[retention.api])
        self.made: list[Made] = []
        self.sent: list[Sent] = []
        self.tokens: dict[str, str] = {}
        self.steps = 0

    @asynccontextmanager
    async def up(self) -> AsyncIterator["Days"]:
        """The server runs during the block; it may be started again."""
        wanted = wanted_models(self.settings, [], demo=False)
        environ = {"PATH": os.environ["PATH"]}
        building = build(self.settings, environ, open_sqlite, clock=self.clock)
        with hold(self.settings.data):
            async with building as parts:
                self.parts: Services = parts
                self.api = parts.api
                async with asyncio.TaskGroup() as tasks:
                    await parts.maintainer.open()
                    await parts.worker.open()
                    services = [
                        parts.worker.run(),
                        parts.maintainer.run(),
                        parts.webhooks.run(),
                        parts.api.parts.hub.run(),
                    ]
                    running = [tasks.create_task(service) for service in services]
                    assert parts.working is not None
                    await find_isolation(parts.base, parts.working.runtime)
                    await parts.loader.load_all(wanted)
                    assert parts.catalog.broken == {}
                    await self._keys()
                    await parts.retention.look()
                    yield self
                    await parts.worker.drain(5)
                    for task in running:
                        task.cancel()

    async def _keys(self) -> None:
        """One key as it is made, one that keeps for ever, one that promises to forget soon."""
        if not self.tokens:
            for name, period in (("plain", None), ("ever", "never"), ("soon", "90m")):
                options = KeyOptions(retention=period)
                self.tokens[name], _ = await self.parts.keys.issue("alice", name, options=options)
        self.token = self.tokens["plain"]

    # what happens

    async def predict(
        self, text: str, *, model: str = "acme/print", key: str = "plain", extra: bytes = b"", **given: Any
    ) -> Made:
        """Run a model to its end. `extra` is what the input file adds to the output."""
        body = {"version": model, "input": {"text": text, **given}}
        reply = await self.post("/v1/predictions", body, headers={"Prefer": "wait=30"}, token=self.tokens[key])
        return self.note(reply.json(), text.encode() + extra, model=model, key=key)

    def note(self, shown: dict[str, Any], content: bytes, *, model: str, key: str) -> Made:
        fails = shown["input"].get("breaks", False)
        assert shown["status"] == ("failed" if fails else "succeeded"), shown
        periods = {"ever": None, "soon": timedelta(minutes=90)}
        period = periods.get(key, 2 * HOUR if model == "acme/brief" else self.general)
        made = Made(shown=shown, content=None if fails else content, period=period)
        self.made.append(made)
        return made

    async def playground(self, text: str) -> Made:
        """As our own pages make predictions."""
        account = (await self.parts.keys.verify(self.token)).account.id
        given = {"text": text}
        request = CreateRequest(
            reference="acme/print", input=given, input_json=json.dumps(given).encode(), source=Source.WEB
        )
        created = await self.parts.predictions.create(request, account, None)
        path = f"/v1/predictions/{created.prediction.id}"
        shown = (await self.get(path, headers={"Prefer": "wait=30"})).json()
        made = self.note(shown, text.encode(), model="acme/print", key="plain")
        made.period = None
        return made

    async def upload(self, content: bytes) -> Sent:
        head = b'--b\r\nContent-Disposition: form-data; name="content"; filename="x.txt"\r\n\r\n'
        form = head + content + b"\r\n--b--\r\n"
        reply = await self.post("/v1/files", form, headers={"content-type": "multipart/form-data; boundary=b"})
        assert reply.status == 201, reply.body
        sent = Sent(id=reply.json()["id"], content=content, expires_at=self.clock.now() + FILE_LIFE)
        self.sent.append(sent)
        return sent

    async def pass_time(self, span: timedelta) -> None:
        """Let time pass: a second before its end nothing has gone too early, and at its end all that must."""
        self.clock.advance(span.total_seconds() - 1)
        await self.parts.retention.look()
        await self.check()
        self.clock.advance(1)
        await self.check()  # nobody has looked yet: what is over is withheld
        await self.parts.retention.look()
        self.check_the_disk()
        self.steps += 1

    # what must be so

    async def check(self) -> None:
        for made in self.made:
            await self._check(made)
        for sent in self.sent:
            status = (await self.get(f"/v1/files/{sent.id}")).status
            assert status == (200 if self.clock.now() < sent.expires_at else 404), f"upload {sent.id}"

    async def _check(self, made: Made) -> None:
        shown = (await self.get(f"/v1/predictions/{made.id}")).json()
        if self._is_over(made):
            gone = {"data_removed": True, "output": None, "input": {}, "logs": ""}
            assert shown == made.shown | gone
        else:
            assert shown | {"output": None} == made.shown | {"output": None}
            if made.content is not None:
                made.links.append((self.clock.now(), shown["output"]))
        for made_at, link in (made.links[:1] + made.links[-3:]) if made.links else []:
            await self._check_link(made, made_at, link)

    async def _check_link(self, made: Made, made_at: datetime, link: str) -> None:
        reply = await self.get(link.removeprefix(ROOT), token=None)
        age = self.clock.now() - made_at
        if self._is_over(made) or age >= LINK:
            assert reply.status == 404, f"a link of {age} outlived its time"
        elif age < LINK / 2:
            assert (reply.status, reply.body) == (200, made.content), f"a link of {age} is dead"
        else:
            assert reply.status in (200, 404)

    def _is_over(self, made: Made) -> bool:
        return made.ends_at is not None and made.ends_at <= self.clock.now()

    def check_the_disk(self) -> None:
        """Exactly those contents are stored that somebody may still ask for; every row is there, its data or not."""
        alive = [made for made in self.made if not self._is_over(made)]
        needed = {made.content for made in alive if made.content is not None}
        needed |= {sent.content for sent in self.sent if self.clock.now() < sent.expires_at}
        stored = {path.name: path.read_bytes() for path in (self.home / "data" / "blobs").glob("??/*")}
        assert set(stored.values()) == needed
        assert all(hashlib.sha256(content).hexdigest() == name for name, content in stored.items())
        with sqlite3.connect(f"file:{self.home / 'data' / 'halley.db'}?mode=ro", uri=True) as database:
            rows = dict(database.execute("SELECT id, data_removed_at IS NULL FROM predictions"))
            told = "SELECT DISTINCT prediction_id FROM events WHERE kind IN ('logged', 'output_set', 'returned')"
            telling = {prediction_id for (prediction_id,) in database.execute(told)}
            known = {name for (name,) in database.execute("SELECT sha256 FROM blobs")}
        assert rows == {made.id: made in alive for made in self.made}
        assert telling == {made.id for made in alive}
        assert known == stored.keys()

    @property
    def removed(self) -> int:
        return sum(map(self._is_over, self.made))


async def an_hour(days: Days, hour: int) -> None:
    """What comes in within an hour: few contents, so that many share their bytes."""
    text = f"content {hour % 3}"
    await days.predict(text)
    await days.predict(text, model="acme/brief")
    if hour % 4 == 0:
        await days.predict(text, key="ever")
        await days.upload(text.encode())
    if hour % 4 == 1:
        await days.predict(text, key="soon", model="acme/brief")
        await days.playground(f"web {hour % 2}")
    if hour % 4 == 2:
        sent = await days.upload(f"an input of hour {hour}".encode())
        url = f"{ROOT}/v1/files/{sent.id}"
        await days.predict(text, file=url, extra=sent.content)
    if hour % 4 == 3:
        await days.predict(text, breaks=True)
        earlier = next(made for made in reversed(days.made) if made.content and not days._is_over(made))
        link = (await days.get(f"/v1/predictions/{earlier.id}")).json()["output"]
        await days.predict("again ", file=link, extra=earlier.content or b"")


async def test_a_day(tmp_path: Path) -> None:
    days = Days(tmp_path, RetentionSettings(api="6h"))
    async with days.up():
        for hour in range(26):
            await an_hour(days, hour)
            await days.pass_time(HOUR)
    assert days.removed > 40
    assert len(days.made) - days.removed > 15


async def test_thirty_one_days_and_a_restart(tmp_path: Path) -> None:
    """The settings as they ship: 30 days for what API clients made, one for uploads, no end for the playground."""
    days = Days(tmp_path, RetentionSettings(api="30d"))
    async with days.up():
        for step in range(8):
            await an_hour(days, step)
            await days.pass_time(8 * HOUR)
    async with days.up():
        for step in range(85):
            if step % 12 == 0:
                await an_hour(days, step)
            await days.pass_time(8 * HOUR if step < 84 else 9 * HOUR)
    assert days.steps == 93
    shipped = [made for made in days.made if made.period == 30 * DAY]
    assert {days._is_over(made) for made in shipped} == {True, False}
    assert not any(days._is_over(made) for made in days.made if made.period is None)


async def test_a_clock_that_is_a_day_ahead_for_half_an_hour_costs_nothing(tmp_path: Path) -> None:
    days = Days(tmp_path, RetentionSettings(api="6h"))
    async with days.up():
        for hour in range(6):
            await an_hour(days, hour)
            await days.pass_time(HOUR)
        stored = {path.name for path in (tmp_path / "data" / "blobs").glob("??/*")}
        days.clock.jump(DAY.total_seconds())
        for _ in range(6):
            days.clock.advance(300)
            await days.parts.retention.look()
            await days.check()  # withheld: by that clock it is over
        assert stored == {path.name for path in (tmp_path / "data" / "blobs").glob("??/*")}
        days.clock.jump(-DAY.total_seconds())
        await days.pass_time(HOUR)
        days.clock.jump(-DAY.total_seconds())
        await days.pass_time(DAY)


async def test_a_waiting_prediction_keeps_its_input_files(tmp_path: Path) -> None:
    days = Days(tmp_path, RetentionSettings(api="6h"))
    gate = tmp_path / "data" / "gate"  # every model sees the data folder; elsewhere in /tmp it would have its own view
    async with days.up():
        await days.predict("earlier")
        earlier = days.made[0]
        sent = await days.upload(b" an input")
        link = (await days.get(f"/v1/predictions/{earlier.id}")).json()["output"]
        waiting = []
        for given in (
            {"text": "runs", "wait_for": str(gate)},
            {"text": "upload", "file": f"{ROOT}/v1/files/{sent.id}"},
            {"text": "output ", "file": link},
        ):
            reply = await days.post("/v1/predictions", {"version": "acme/print", "input": given})
            waiting.append(reply.json()["id"])
        for _ in range(10):
            days.clock.advance(6 * 3600)
            await days.parts.retention.look()
            shown = (await days.get(f"/v1/files/{sent.id}")).json()
            assert datetime.fromisoformat(shown["expires_at"]) > days.clock.now()
        assert (await days.get(f"/v1/predictions/{earlier.id}")).json()["data_removed"] is True
        assert (await days.get(link.removeprefix(ROOT), token=None)).status == 404
        gate.touch()
        contents = [b"runs", b"upload an input", b"output earlier"]
        for prediction_id, content in zip(waiting, contents, strict=True):
            reply = await days.get(f"/v1/predictions/{prediction_id}", headers={"Prefer": "wait=30"})
            days.note(reply.json(), content, model="acme/print", key="plain")
        sent.expires_at = datetime.fromisoformat((await days.get(f"/v1/files/{sent.id}")).json()["expires_at"])
        await days.parts.retention.look()
        await days.check()
        await days.pass_time(HOUR)
        await days.pass_time(6 * HOUR)
        assert days.removed == 4
        assert list((tmp_path / "data" / "blobs").glob("??/*")) == []
