"""The real server in front of a stand-in of CometAPI: the seed's create and poll at our address, files that stay."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from process import Halley
from standins import TOKEN, CometStandIn, Delivered

pytestmark = pytest.mark.e2e

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 600
CONFIG = """
[providers.comet]
kind = "replicate"
url = "{url}/replicate/v1"
token_env = "COMETAPI_KEY"
profile = "cometapi"

[routes."artists/*"]
providers = ["comet"]
model = "acme/{{name}}"
"""


@pytest.fixture
def comet() -> Iterator[CometStandIn]:
    with CometStandIn() as server:
        yield server


@pytest.fixture
def front(comet: CometStandIn, tmp_path: Path) -> Iterator[Halley]:
    config = CONFIG.format(url=comet.url)
    with Halley(tmp_path, "--no-demo", config=config, environment={"COMETAPI_KEY": TOKEN}) as server:
        yield server


def poll(front: Halley, made: dict[str, Any]) -> dict[str, Any]:
    for _ in range(300):
        status, _, row = front.call("GET", f"/replicate/v1/predictions/{made['id']}")
        assert status == 200
        if row["status"] in {"succeeded", "failed", "canceled"}:
            return dict(row)
        time.sleep(0.1)
    raise AssertionError(f"{row}\n{front.log()}")


def test_the_seed_works_at_our_address_and_outputs_outlive_the_upstreams(comet: CometStandIn, front: Halley) -> None:
    file = Delivered("out-0.png", PICTURE, serves=1)  # as one that is deleted after it was fetched
    link = comet.put("a", file)
    comet.on_create = lambda first: [
        first,
        {**first, "status": "processing", "logs": "step 1\n"},
        {
            **first,
            "status": "succeeded",
            "logs": "step 1\nstep 2\n",
            "output": [link],
            "metrics": {"predict_time": 1.5, "output_token_count": 7.0},
        },
    ]
    body = {"input": {"prompt": "black forest cake", "anything": {"of": ["its", "own"]}}}
    status, headers, made = front.call("POST", "/replicate/v1/models/artists/painter/predictions", body)
    assert (status, headers["x-halley-inputs"]) == (201, "unchecked")
    assert made["status"] in {"starting", "processing"}
    assert made["urls"]["get"].startswith(f"{front.url}/replicate/v1/predictions/")
    row = poll(front, made)
    assert (row["status"], row["logs"], row["model"], row["error"]) == (
        "succeeded",
        "step 1\nstep 2\n",
        "artists/painter",
        None,
    )
    assert row["metrics"]["predict_time"] == 1.5
    assert str(row["metrics"]["output_token_count"]) == "7"
    assert row["input"] == body["input"]
    assert comet.url not in json.dumps(row)
    told = front.call("GET", f"/v1/predictions/{made['id']}/events")[2]["results"]
    (start,) = [item["data"] for item in told if item["data"].get("status") == "processing"]
    assert start == {"status": "processing", "provider": "comet", "upstream_id": next(iter(comet.predictions))}
    assert start["upstream_id"] not in json.dumps(row)
    (ours,) = row["output"]
    assert ours.startswith(front.url)
    assert file.serves == 0
    assert front.call("GET", ours)[2] == PICTURE
    creates = [request for request in comet.seen if request.method == "POST"]
    assert [request.path for request in creates] == ["/replicate/v1/models/acme/painter/predictions"]
    assert json.loads(creates[0].body)["input"] == body["input"]


def test_a_copy_that_was_cut_is_continued(comet: CometStandIn, front: Halley) -> None:
    link = comet.put("cut", Delivered("out-0.png", PICTURE, cut_at=100_000))
    comet.on_create = lambda first: [first, {**first, "status": "succeeded", "output": [link]}]
    row = poll(front, front.call("POST", "/v1/models/artists/painter/predictions", {"input": {"prompt": "x"}})[2])
    assert row["status"] == "succeeded", row
    assert front.call("GET", row["output"][0])[2] == PICTURE
    assert [one.headers.get("range") for one in comet.asked("/delivery/cut")] == [None, "bytes=100000-"]


def test_without_a_schema_files_are_known_by_their_form_in_inputs_and_outputs(
    comet: CometStandIn, tmp_path: Path
) -> None:
    elsewhere = comet.put("a", Delivered("out-0.png", PICTURE)).replace("127.0.0.1", "localhost")
    comet.on_create = lambda first: [first, {**first, "status": "succeeded", "output": [elsewhere]}]
    port = comet.url.rpartition(":")[2]
    config = f'[egress]\nallow = ["127.0.0.1:{port}"]\n' + CONFIG.format(url=comet.url)
    with Halley(tmp_path, "--no-demo", config=config, environment={"COMETAPI_KEY": TOKEN}) as front:
        form = b'--b\r\ncontent-disposition: form-data; name="content"; filename="a.txt"\r\n\r\nABC\r\n--b--\r\n'
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        link = front.call("POST", "/v1/files", form, headers=headers)[2]["urls"]["get"]
        body = {"input": {"prompt": f"what is {link}?", "image": link}}
        row = poll(front, front.call("POST", "/v1/models/artists/painter/predictions", body)[2])
        (ours,) = row["output"]
        assert ours.startswith(front.url)
        assert front.call("GET", ours)[2] == PICTURE
    (create,) = [request for request in comet.seen if request.method == "POST"]
    sent = json.loads(create.body)["input"]
    assert sent["prompt"] == f"what is {link}?"
    assert re.fullmatch(r"data:[a-z/-]+;base64,QUJD", sent["image"])


def test_what_it_refuses_fails_with_its_reason_and_the_key_is_not_shown(comet: CometStandIn, front: Halley) -> None:
    for _ in range(6):
        row = poll(front, front.call("POST", "/v1/models/artists/painter/predictions", {"input": {"width": 1}})[2])
        assert (row["status"], "prompt is missing" in row["error"]) == ("failed", True)
    assert len([request for request in comet.seen if request.method == "POST"]) == 6
    upstreams = front.call("GET", "/v1/upstreams")[2]
    assert upstreams["results"][0]["state"] == "closed"  # a refusal with 500 is an answer, too
    shown = json.dumps([row, upstreams])
    assert "prompt is missing" in shown
    assert TOKEN not in shown + front.log()


def test_a_create_whose_answer_was_lost_is_not_repeated_and_listed(comet: CometStandIn, front: Halley) -> None:
    def cut(first: dict[str, Any]) -> list[dict[str, Any]]:
        del first
        raise ConnectionResetError

    comet.on_create = cut
    row = poll(front, front.call("POST", "/v1/models/artists/painter/predictions", {"input": {"prompt": "x"}})[2])
    assert row["status"] == "failed"
    assert len([request for request in comet.seen if request.method == "POST"]) == 1
    (listed,) = front.call("GET", "/v1/upstreams/unknown")[2]["results"]
    assert (listed["id"], listed["provider"], listed["model"]) == (row["id"], "comet", "artists/painter")
    assert front.call("GET", "/v1/upstreams")[2]["results"][0]["unknown"] == 1
    environment = {"HALLEY_SERVER": front.url, "HALLEY_TOKEN": front.key, "HOME": str(front.home)}
    command = [sys.executable, "-m", "halley.cli.main", "upstreams", "unknown"]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[1].split()[:3] == [row["id"], "artists/painter", "comet"]
    assert "It is not submitted again" in shown.stderr


def test_beyond_its_limit_of_a_day_creates_get_402_also_after_a_restart(comet: CometStandIn, tmp_path: Path) -> None:
    comet.on_create = lambda first: [first, {**first, "status": "succeeded", "output": "done"}]
    config = CONFIG.format(url=comet.url).replace("[routes", "max_submits_per_day = 2\n\n[routes", 1)
    create = ("POST", "/v1/models/artists/painter/predictions", {"input": {"prompt": "x"}})
    with Halley(tmp_path, "--no-demo", config=config, environment={"COMETAPI_KEY": TOKEN}) as front:
        for _ in range(2):
            assert poll(front, front.call(*create)[2])["status"] == "succeeded"
        kept = {"Idempotency-Key": "k1"}
        for _ in range(2):
            status, headers, problem = front.call(*create, headers=kept)
            assert (status, problem["title"], headers["x-should-retry"]) == (402, "Submit limit reached", "false")
            assert "comet: its limit of 2 submits in 24 hours (max_submits_per_day) is reached" in problem["detail"]
            (row,) = front.call("GET", "/v1/upstreams")[2]["results"]
            assert (row["submits"], row["max_submits_per_day"], "limit of 2" in row["reason"]) == (2, 2, True)
            front.stop()
            front.start()
        assert len(front.call("GET", "/v1/predictions")[2]["results"]) == 2
        assert TOKEN not in front.log()
    assert len([request for request in comet.seen if request.method == "POST"]) == 2


def shown(front: Halley, made: dict[str, Any]) -> str:
    """All that callers see of a prediction and of its model, by every route; not what operators see of the service."""
    prediction = f"/v1/predictions/{made['id']}"
    paths = [
        prediction,
        f"/replicate{prediction}",
        "/v1/predictions",
        "/v1/models",
        "/v1/models/artists/painter",
        "/v1/models/artists/painter/versions",
        "/v1/search?query=painter",
        *(made["urls"][name].removeprefix(front.url) for name in ("web", "stream")),
    ]
    texts = [str(front.call("GET", path)[2]) for path in paths]
    told = front.call("GET", f"{prediction}/events?follow=0", headers={"Accept": "text/event-stream"})[2]
    texts.append(str(told))
    return "\n".join([json.dumps(made), *texts])


def events(front: Halley, made: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = front.call("GET", f"/v1/predictions/{made['id']}/events")[2]["results"]
    return [item["data"] for item in found if item["event"] == name]


def test_no_answer_shows_a_link_of_the_service_unless_the_route_passes_them(comet: CometStandIn, front: Halley) -> None:
    link = comet.put("a", Delivered("out-0.png", PICTURE))
    gone = f"{comet.url}/delivery/none/out-0.png"
    output: list[Any] = [link]
    comet.on_create = lambda first: [first, {**first, "status": "succeeded", "output": list(output)}]
    create = ("POST", "/v1/models/artists/painter/predictions", {"input": {"prompt": "x"}})
    made = front.call(*create)[2]
    assert poll(front, made)["status"] == "succeeded"
    assert comet.url not in shown(front, made)
    output[:] = [{"image": link, "more": [gone]}]
    made = front.call(*create)[2]
    row = poll(front, made)
    assert (row["status"], row["output"]) == ("failed", None)
    assert row["error"] == "File 2 of the output could not be copied here: its link answered 404, not 200."
    assert events(front, made, "output_not_kept") == [{"urls": [link, gone], "error": row["error"]}]
    assert shown(front, made).count(comet.url) == 2  # both in that one event, which the stream of events has
    output[:] = [gone]
    settings = front.home / "halley.toml"
    settings.write_text(settings.read_text() + 'vault = "pass"\n')
    assert front.process is not None
    front.process.send_signal(signal.SIGHUP)
    for _ in range(100):
        if front.call("GET", "/v1/routes")[2]["results"][0]["vault"] == "pass":
            break
        time.sleep(0.1)
    shown_settings = {row["name"]: row for row in front.call("GET", "/v1/settings")[2]["settings"]}
    vault = next(row for name, row in shown_settings.items() if name.endswith(".vault"))
    assert (vault["value"], vault["origin"] != "default") == ('"pass"', True)
    asked = len(comet.asked("/delivery/none"))
    _, headers, made = front.call(*create)
    row = poll(front, made)
    assert headers["x-halley-outputs"] == "passed"
    assert (row["status"], row["output"]) == ("succeeded", [gone])
    assert events(front, made, "output") == [{"value": gone, "is_item": True, "passed": True}]
    assert len(comet.asked("/delivery/none")) == asked
