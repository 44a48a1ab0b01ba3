"""The server is killed while it removes a backlog, again and again: in the end all is gone that must, and no more."""

import hashlib
import time
from pathlib import Path
from typing import Final

import pytest

from e2e.process import Halley
from fault.mix_ledger import Books

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(300)]

PRINT: Final = """
import pathlib
import tempfile

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, number: int) -> Path:
        print("a secret line")
        out = pathlib.Path(tempfile.mkdtemp()) / "out.txt"
        out.write_text(f"content {number % 7}")
        return Path(out)
"""
COUNT: Final = """
from cog import BasePredictor, ConcatenateIterator


class Predictor(BasePredictor):
    def predict(self) -> ConcatenateIterator[str]:
        for number in range(3000):
            yield f"a secret line {number}"
"""
SHORT, LONG = 110, 40  # predictions with few events, and with many
PREDICTIONS: Final = SHORT + LONG
LASTING: Final = "('created', 'started', 'cancel_requested', 'finished', 'data_removed', 'repeated')"
FORM: Final = b'--b\r\nContent-Disposition: form-data; name="content"; filename="x"\r\n\r\ncontent 3\r\n--b--\r\n'


def serve(home: Path, retention: str) -> Halley:
    config = "".join(f'[models."acme/{name}"]\npath = "{home / name}"\n' for name in ("print", "count"))
    return Halley(home, "--no-demo", config=config, environment={"HALLEY_RETENTION": retention})


def fill(home: Path) -> str:
    """Predictions that share seven contents, some with a long log; and an upload that shares one of them."""
    for name, code in (("print", PRINT), ("count", COUNT)):
        (home / name).mkdir()
        (home / name / "predict.py").write_text(code)
    inputs = [("print", {"number": number}) for number in range(SHORT)] + [("count", {})] * LONG
    with serve(home, "never") as server:
        for model, given in inputs:
            path, waits = f"/v1/models/acme/{model}/predictions", {"Prefer": "wait=50"}
            status, _, made = server.call("POST", path, {"input": given}, headers=waits)
            assert (status, made["status"]) == (201, "succeeded"), made
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        return str(server.call("POST", "/v1/files", FORM, headers=headers)[2]["id"])


def removed(books: Books) -> int:
    return int(books.rows("SELECT count(*) FROM predictions WHERE data_removed_at IS NOT NULL")[0][0])


def half_removed(books: Books) -> int:
    return int(
        books.rows("SELECT count(*) FROM predictions WHERE data_removed_at IS NOT NULL AND has_progress = 1")[0][0]
    )


def kill_while_it_removes(home: Path, books: Books) -> bool:
    """Start it, and kill it as soon as something more was removed; False if nothing was left to remove."""
    before = removed(books)
    server = serve(home, "1s").start(wait=False)
    try:
        end = time.monotonic() + 120
        while removed(books) == before and time.monotonic() < end:
            time.sleep(0.0005)
    finally:
        server.kill()
    return before < removed(books)


def test_a_removal_that_is_killed_again_and_again_ends_where_it_should(tmp_path: Path) -> None:
    upload = fill(tmp_path)
    time.sleep(1.1)  # the period begins with the end of each
    books = Books(tmp_path / "data" / "halley.db")
    in_between, half = 0, 0
    while removed(books) < PREDICTIONS:
        assert kill_while_it_removes(tmp_path, books)
        in_between += 0 < removed(books) < PREDICTIONS
        half += half_removed(books) > 0
    assert half, "no kill came between a row and its events"
    assert in_between >= 2, "hardly a kill came in the middle: this run proves nothing"
    print(f"{in_between} kills in the middle, {half} with events that were still to go")

    blobs = tmp_path / "data" / "blobs"
    with serve(tmp_path, "1s") as server:
        end = time.monotonic() + 120
        while half_removed(books) or len(list(blobs.glob("??/*"))) > 1:
            assert time.monotonic() < end, "something is left"
            time.sleep(0.1)
        for (prediction_id,) in books.rows("SELECT id FROM predictions"):
            shown = server.call("GET", f"/v1/predictions/{prediction_id}")[2]
            assert (shown["status"], shown["data_removed"], shown["output"]) == ("succeeded", True, None)
            assert shown["metrics"]["predict_time"] >= 0
        assert server.call("GET", f"/v1/files/{upload}")[2]["size"] == len("content 3")
    assert books.rows(f"SELECT count(*) FROM events WHERE kind NOT IN {LASTING}") == [(0,)]
    assert books.rows("SELECT kind, count(*) FROM events GROUP BY 1 ORDER BY 1") == [
        (kind, PREDICTIONS) for kind in ("created", "data_removed", "finished", "started")
    ]
    digest = hashlib.sha256(b"content 3").hexdigest()
    assert books.rows("SELECT sha256 FROM blobs") == [(digest,)]
    assert books.rows("SELECT owner_kind, owner_id FROM blob_references") == [("file", upload)]
    assert [path.read_bytes() for path in blobs.glob("??/*")] == [b"content 3"]
