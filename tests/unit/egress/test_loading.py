"""The HTTP client and the trusted certificates are loaded in threads: other requests are served meanwhile."""

import ssl
import subprocess
import sys
import threading
from pathlib import Path

import httpcore2
import pytest

from halley.egress import Egress, rules_from
from halley.egress.errors import FetchFailed
from halley.egress.origin import OriginClient

IMPORTED = """
import asyncio, sys, threading
from halley.egress import Egress, rules_from
from halley.egress.errors import FetchFailed

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("httpcore2", "halley.egress.network"):
            print(name, threading.current_thread() is threading.main_thread())

async def main():
    sys.meta_path.insert(0, Watch())
    try:
        await Egress(rules_from(["127.0.0.1:9"], http=True)).fetch(
            "http://127.0.0.1:9/x", to=__import__("pathlib").Path(sys.argv[1]), limit_bytes=9, deadline_seconds=20
        )
    except FetchFailed:
        print("failed")

asyncio.run(main())
"""


def test_the_client_is_imported_in_a_thread(tmp_path: Path) -> None:
    command = [sys.executable, "-c", IMPORTED, tmp_path / "x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines() == ["halley.egress.network False", "httpcore2 False", "failed"], done.stderr


@pytest.mark.anyio
async def test_certificates_are_read_in_a_thread_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_the_loop: list[bool] = []

    def trusted() -> ssl.SSLContext:
        in_the_loop.append(threading.current_thread() is threading.main_thread())
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    monkeypatch.setattr(httpcore2, "default_ssl_context", trusted)
    egress = Egress(rules_from(["127.0.0.1:9"], http=True))
    service = OriginClient("https://127.0.0.1:9", silence_seconds=20)
    for _ in range(2):
        with pytest.raises(FetchFailed):
            await egress.fetch("https://127.0.0.1:9/x", to=tmp_path / "x", limit_bytes=9, deadline_seconds=20)
        with pytest.raises(FetchFailed):
            await service.request("GET", "/x", limit_bytes=9, deadline_seconds=20)
    assert in_the_loop == [False, False]
