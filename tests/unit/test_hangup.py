"""A SIGHUP with settings that cannot be used changes nothing, and ends nothing."""

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


def test_a_path_that_cannot_be_one_is_refused() -> None:
    given = ReplicateSettings(kind="replicate", url="http://127.0.0.1:1/v1", token_file=Path("a\0b"))
    with pytest.raises(Unusable, match=r"providers\.back\.token_file: .*embedded null byte"):
        read_token("back", given, {})
