"""The official clients, unmodified, with only the base URL and the token changed."""

from pathlib import Path

import pytest
from PIL import Image
from process import Case, Halley

pytestmark = pytest.mark.e2e

WEBP, PNG = "52494646", "89504e47"


@pytest.mark.parametrize("pinned", [False, True], ids=["latest", "version"])
def test_run_gives_file_objects_that_can_be_read(client: Case, pinned: bool) -> None:
    files = client("paint", pinned=pinned)
    assert [file["magic"] for file in files] == [WEBP, WEBP]
    assert {file["kind"] for file in files} <= {"FileOutput", "SyncFileOutput"}
    assert len({file["sha"] for file in files}) == 2


@pytest.mark.parametrize("pinned", [False, True], ids=["latest", "version"])
def test_run_joins_text(client: Case, pinned: bool) -> None:
    assert len(client("text", pinned=pinned).split()) > 4


@pytest.mark.parametrize("pinned", [False, True], ids=["latest", "version"])
def test_a_local_file_goes_in_and_a_picture_comes_out(client: Case, tmp_path: Path, pinned: bool) -> None:
    path = tmp_path / "small.png"
    Image.new("RGB", (32, 24), (200, 90, 40)).save(path)
    assert client("upscale", path=str(path), pinned=pinned)["magic"] in {PNG, WEBP}


def test_one_output_is_the_next_input(client: Case) -> None:
    made = client("chain")
    assert made["link"].startswith("http://127.0.0.1:")
    assert made["magic"] in {PNG, WEBP}


def test_stream_equals_the_stored_output(client: Case) -> None:
    streamed = client("stream")
    assert streamed["text"] == client("text")
    if streamed["events"]:
        assert streamed["events"].count("output") == 12
        assert streamed["events"][-1] == "done"


def test_create_and_poll(client: Case) -> None:
    done = client("poll")
    assert done["first"] in {"starting", "processing"}
    assert done["status"] == "succeeded"
    assert done["percentage"] in {None, 1.0}
    assert 1.1 < done["metrics"]["predict_time"] <= done["metrics"]["total_time"]


def test_list_and_paginate(client: Case, halley: Halley) -> None:
    for _ in range(110):  # more than a page holds
        halley.call("POST", "/v1/models/demo/noop/predictions", {"input": {}})
    made = client("listing", count=3)
    assert made["seen"][:3] == made["made"][::-1]
    assert len(made["seen"]) == len(set(made["seen"])) > 110


def test_cancel(client: Case) -> None:
    canceled = client("cancel")
    assert canceled == {"after": "canceled", "later": "canceled", "error": None}


def test_a_failing_model_raises_with_its_message(client: Case) -> None:
    failed = client("failing")
    assert "asked to fail" in failed["error"]


def test_a_wait_that_runs_out_is_followed_by_polling(client: Case) -> None:
    assert client("wait_runs_out") not in {"None", "null", "undefined", ""}


def test_input_errors_reach_the_user_all_at_once(client: Case) -> None:
    refused = client("bad_input")
    assert refused["status"] == 422
    assert "width" in refused["text"]
    assert "num_outputs" in refused["text"]


def test_an_unknown_model_is_named(client: Case) -> None:
    refused = client("unknown_model")
    assert refused["status"] in {404, 422}
    assert "demo/nothing" in refused["text"]
