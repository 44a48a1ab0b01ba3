"""A gigabyte in and a gigabyte out: streamed on every step, and gone afterwards."""

import hashlib
import http.client
import json
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
from process import Halley

from needs import require

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(400)]

HERE: Final = Path(__file__).parent
SIZE_BYTES: Final = 1_000_000_000
BLOCK_BYTES: Final = 1_000_000
FREE_BYTES: Final = 6 * 10**9
ADDED_MB: Final = 100
SAMPLE_SECONDS: Final = 0.05
CONFIG: Final = f"""
[server]
access_log = false
[limits]
upload_bytes = "1100MB"
[models."test/double"]
path = "{HERE / "models" / "double"}"
preload = true
"""
BOUNDARY: Final = "a-boundary-of-this-test"


def test_a_gigabyte_passes_in_bounded_memory(tmp_path: Path) -> None:
    require(shutil.disk_usage(tmp_path).free > FREE_BYTES, f"{FREE_BYTES / 1e9:.0f} GB of free disk")
    with Halley(tmp_path, "--no-demo", config=CONFIG) as server:
        small = _upload(server, 1)
        assert _run(server, small)["status"] == "succeeded"
        with _peak_mb(server) as peak:
            link = _upload(server, SIZE_BYTES // BLOCK_BYTES)
            done = _run(server, link)
            assert done["status"] == "succeeded", done["error"]
            sent = _download(done["output"])
        added = peak["after"] - peak["before"]
        print(f"1 GB in and out: at most {added:.0f} MB more memory of server and model (limit: {ADDED_MB})")
        assert sent == (SIZE_BYTES, _digest_of_answer())
        assert added < ADDED_MB, peak
        data = tmp_path / "data"
        assert list((data / "runs").iterdir()) == []
        assert list((data / "blobs" / "tmp").iterdir()) == []
        large = [path for path in data.rglob("*") if path.is_file() and path.stat().st_size >= SIZE_BYTES]
        # the upload and the output: the model's own file is gone with its prediction
        assert len({path.stat().st_ino for path in large}) == 2, large
    left = [path for path in data.rglob("*") if path.is_file() and path.stat().st_size >= SIZE_BYTES]
    assert {path.parent.parent.name for path in left} == {"blobs"}
    shutil.rmtree(tmp_path)  # not for the next runs to find


def _block(n: int) -> bytes:
    return f"block {n:09d} ".encode().ljust(BLOCK_BYTES, b".")


def _digest_of_answer() -> str:
    digest = hashlib.sha256()
    for n in range(SIZE_BYTES // BLOCK_BYTES):
        digest.update(_block(n) if n else b"B" + _block(0)[1:])
    return digest.hexdigest()


def _upload(server: Halley, blocks: int) -> str:
    """Send as many blocks as one file; returns its URL."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="content"; filename="large.bin"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()

    def body() -> Iterator[bytes]:
        yield head
        for n in range(blocks):
            yield _block(n)
        yield tail

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=180)
    headers = {
        "Authorization": f"Bearer {server.key}",
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Length": str(len(head) + blocks * BLOCK_BYTES + len(tail)),
    }
    connection.request("POST", "/v1/files", body(), headers)
    answer = connection.getresponse()
    said = answer.read()
    connection.close()
    assert answer.status == 201, said
    return str(json.loads(said)["urls"]["get"])


def _run(server: Halley, link: str) -> Any:
    headers = {"Prefer": "wait=55"}
    status, _, done = server.call(
        "POST", "/v1/models/test/double/predictions", {"input": {"given": link}}, headers=headers
    )
    assert status in (201, 202), done  # 202: it takes longer than it was waited for
    while done["status"] in {"starting", "processing"}:
        _, _, done = server.call("GET", f"/v1/predictions/{done['id']}", headers=headers)
    return done


def _download(url: str) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with urllib.request.urlopen(url, timeout=180) as answer:
        while block := answer.read(BLOCK_BYTES):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


@contextmanager
def _peak_mb(server: Halley) -> Iterator[dict[str, float]]:
    """Memory of the server and its model, as PSS: before, and the most while the block ran."""
    assert server.process is not None
    top = psutil.Process(server.process.pid)
    seen = {"before": _pss_mb(top), "after": 0.0}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(SAMPLE_SECONDS):
            seen["after"] = max(seen["after"], _pss_mb(top))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def _pss_mb(top: psutil.Process) -> float:
    total = 0
    for each in [top, *top.children(recursive=True)]:
        try:
            total += each.memory_full_info().pss
        except psutil.Error:  # gone meanwhile
            continue
    return total / 1e6
