"""A SIGHUP with settings that cannot be used changes nothing, and ends nothing."""

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


PROVIDER_ADDED = """
import asyncio, sys, threading
from pathlib import Path
from halley.app import hangup
from halley.settings import CogSettings, ReplicateSettings, Settings

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("halley.providers.") and name.count(".") == 2:
            print(name, threading.current_thread() is threading.main_thread())

sys.meta_path.insert(0, Watch())
providers = {
    "there": ReplicateSettings(kind="replicate", url="http://127.0.0.1:1/v1"),
    "cog": CogSettings(kind="cog", url="http://127.0.0.1:2"),
}
settings = Settings(data=Path("/nowhere"), providers=providers)
assert asyncio.run(hangup._read_again(lambda: settings)) is settings
"""


def test_the_first_provider_of_a_kind_is_loaded_in_a_thread() -> None:
    done = subprocess.run([sys.executable, "-c", PROVIDER_ADDED], capture_output=True, text=True, check=True)
    found = dict(line.split() for line in done.stdout.splitlines())
    assert {"halley.providers.replicate", "halley.providers.cog", "halley.providers.services"} <= found.keys()
    assert set(found.values()) == {"False"}


def test_a_path_that_cannot_be_one_is_refused() -> None:
    given = ReplicateSettings(kind="replicate", url="http://127.0.0.1:1/v1", token_file=Path("a\0b"))
    with pytest.raises(Unusable, match=r"providers\.back\.token_file: .*embedded null byte"):
        read_token("back", given, {})
