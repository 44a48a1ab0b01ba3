"""A SIGHUP with settings that cannot be used changes nothing, and ends nothing."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from halley.app import hangup
from halley.app.upstreams import read_token
from halley.errors import Unusable
from halley.settings import ReplicateSettings, Settings

pytestmark = pytest.mark.anyio


def breaks(*_: object) -> NoReturn:
    raise ValueError("embedded null byte")


async def test_what_breaks_while_settings_are_read_or_used_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert await hangup._read_again(breaks) is None
    parts: Any = SimpleNamespace(upstreams=SimpleNamespace(apply=breaks))
    hangup._change_upstreams(parts, Settings(data=Path("/nowhere")))
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


async def hang_up(parts: Any, settings: Settings) -> None:
    """One SIGHUP for a server whose settings are these by now."""
    start: Any = SimpleNamespace(
        settings=Settings(data=Path("/nowhere")), options=SimpleNamespace(reread=lambda: settings), wanted=()
    )
    looking = asyncio.ensure_future(hangup.look_again_on_hangup(parts, start))
    await asyncio.sleep(0)
    assert not looking.done(), "without a handler the signal would end the tests"
    os.kill(os.getpid(), signal.SIGHUP)
    try:
        await asyncio.wait_for(parts.done.wait(), 20)
    finally:
        looking.cancel()
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)


@pytest.mark.parametrize("runs_predictions", [True, False])
async def test_provider_code_that_cannot_be_loaded_keeps_no_key_back(
    runs_predictions: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    done, keys, loads, applied = asyncio.Event(), [], [], []

    async def ensure_admin(key: str) -> None:
        keys.append(key)
        if not runs_predictions:
            done.set()

    async def look_again(_: object) -> None:
        done.set()

    def load_kinds(_: object) -> NoReturn:
        loads.append(1)
        raise ImportError("a file is missing")

    monkeypatch.setattr(hangup, "load_kinds", load_kinds)
    parts = SimpleNamespace(
        answering=object(),
        working=object() if runs_predictions else None,
        keys=SimpleNamespace(ensure_admin=ensure_admin),
        upstreams=SimpleNamespace(apply=applied.append),
        loader=SimpleNamespace(look_again=look_again),
        done=done,
    )
    await hang_up(parts, Settings(data=Path("/nowhere"), admin_key="hly_" + 40 * "b"))
    assert keys == ["hly_" + 40 * "b"]
    assert (len(loads), applied) == (1 if runs_predictions else 0, [])
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == len(loads)
    assert all("the code of a provider cannot be loaded" in error for error in errors)


PROVIDER_ADDED = """
import asyncio, sys, threading
from pathlib import Path
from types import SimpleNamespace
from halley.app import hangup
from halley.settings import CogSettings, HttpJobSettings, ReplicateSettings, Settings

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("halley.providers.") and name.count(".") == 2:
            print(name, threading.current_thread() is threading.main_thread())

sys.meta_path.insert(0, Watch())
providers = {
    "there": ReplicateSettings(kind="replicate", url="http://127.0.0.1:1/v1"),
    "cog": CogSettings(kind="cog", url="http://127.0.0.1:2"),
    "job": HttpJobSettings(kind="http-job", url="http://127.0.0.1:3", file=Path("job.toml")),
}
settings = Settings(data=Path("/nowhere"), providers=providers)
assert asyncio.run(hangup._read_again(lambda: settings)) is settings
print("read", None)

async def nothing():
    pass

upstreams = SimpleNamespace(apply=lambda _: None, list_offered=nothing)
parts = SimpleNamespace(upstreams=upstreams, answering=None, worker=SimpleNamespace(reevaluate=lambda: None))
asyncio.run(hangup._use_upstreams(parts, settings))
"""


def test_the_first_provider_of_a_kind_is_loaded_in_a_thread() -> None:
    done = subprocess.run([sys.executable, "-c", PROVIDER_ADDED], capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines.pop(0) == ["read", "None"], "reading alone loads none"
    found = dict(lines)
    kinds = {f"halley.providers.{name}" for name in ("replicate", "cog", "http_job", "services")}
    assert kinds <= found.keys()
    assert set(found.values()) == {"False"}


def test_a_path_that_cannot_be_one_is_refused() -> None:
    given = ReplicateSettings(kind="replicate", url="http://127.0.0.1:1/v1", token_file=Path("a\0b"))
    with pytest.raises(Unusable, match=r"providers\.back\.token_file: .*embedded null byte"):
        read_token("back", given, {})
