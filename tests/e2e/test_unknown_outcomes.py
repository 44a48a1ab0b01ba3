"""A person settles predictions whose outcome at a service is unknown: by the run there, or by another submit."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from process import Halley
from receiver import Receiver

from halley.testing.replicate.faults import ServiceFault
from halley.testing.replicate.scripts import Stage
from halley.testing.replicate.server import ThreadedServer
from halley.testing.replicate.service import TOKEN, FakeService

pytestmark = pytest.mark.e2e

MODEL = "test/echo"
LOST = ServiceFault(acts=True, cut="answer")
CONFIG = """
[providers.comet]
kind = "replicate"
url = "{url}"
token_env = "COMETAPI_KEY"
profile = "cometapi"

[routes."test/*"]
providers = ["comet"]
"""


def say(given: dict[str, Any]) -> list[Stage]:
    return [Stage(status="starting"), Stage(status="succeeded", output=f"said {given['n']}")]


@pytest.fixture
def service() -> Iterator[FakeService]:
    service = FakeService({MODEL: say, "test/other": say}, style="cometapi")
    with ThreadedServer(service) as server:
        service.described = {"url": server.url}
        yield service


@pytest.fixture
def front(service: FakeService, tmp_path: Path) -> Iterator[Halley]:
    config = CONFIG.format(url=service.described["url"])
    with Halley(tmp_path, "--no-demo", config=config, environment={"COMETAPI_KEY": TOKEN}) as server:
        yield server


def ended(front: Halley, prediction_id: str) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for _ in range(300):
        row = front.call("GET", f"/v1/predictions/{prediction_id}")[2]
        if row["status"] in {"succeeded", "failed", "canceled"}:
            return row
        time.sleep(0.1)
    raise AssertionError(f"{row}\n{front.log()}")


def create(front: Halley, n: int, **members: Any) -> dict[str, Any]:
    status, _, row = front.call("POST", f"/v1/models/{MODEL}/predictions", {"input": {"n": n}, **members})
    assert status == 201, row
    return dict(row)


def lose(front: Halley, service: FakeService, n: int, **members: Any) -> tuple[str, str]:
    """The id of a prediction whose create was lost, and the id of its run."""
    service.plan("create", LOST)
    row = ended(front, create(front, n, **members)["id"])
    assert (row["status"], "paid for twice" in row["error"]) == ("failed", True)
    return row["id"], list(service.runs)[-1]


def settle(front: Halley, prediction_id: str, how: str, **body: str) -> tuple[int, dict[str, Any]]:
    status, _, answer = front.call("POST", f"/v1/upstreams/unknown/{prediction_id}/{how}", body)
    return status, answer


def links(front: Halley, prediction_id: str) -> list[dict[str, Any]]:
    events = front.call("GET", f"/v1/predictions/{prediction_id}/events")[2]["results"]
    return [event["data"] for event in events if event["event"] == "linked"]


def unknown(front: Halley, query: str = "") -> list[dict[str, Any]]:
    return list(front.call("GET", f"/v1/upstreams/unknown{query}")[2]["results"])


def test_a_run_is_adopted_once_and_both_predictions_show_the_link(front: Halley, service: FakeService) -> None:
    with Receiver() as receiver:
        first, run = lose(front, service, 7, webhook=receiver.url, webhook_events_filter=["completed"])
        mistaken = service.begin("test/other", {"n": 7}).id  # an id in the line beside it on the service's page
        status, refused = settle(front, first, "adopt", upstream_id=mistaken)
        assert (status, "is a run of test/other, not of test/echo" in refused["detail"]) == (422, True), refused
        del service.runs[mistaken]
        before = front.call("GET", f"/v1/predictions/{first}")[2]
        status, made = settle(front, first, "adopt", upstream_id=run)
        assert (status, made["prediction"], made["how"]) == (201, first, "adopted")
        linked = made["continued_by"]
        row = ended(front, linked)
        assert (row["status"], row["output"], row["input"]) == ("succeeded", "said 7", {"n": 7})
        front.kill()  # the link is durable, and the same command again names what there is
        front.start()
        assert settle(front, first, "adopt", upstream_id=run) == (200, made)
        assert settle(front, first, "retry")[0] == 409
        assert settle(front, first, "adopt", upstream_id="another")[0] == 409
        assert len(front.call("GET", "/v1/predictions")[2]["results"]) == 2
        assert front.call("GET", f"/v1/predictions/{first}")[2] == before
        assert links(front, first) == [{"how": "adopted", "continued_by": linked}]
        assert links(front, linked) == [{"how": "adopted", "continues": first}]
        assert linked not in json.dumps(before)
        arrived = receiver.wait(lambda arrived: arrived[-1:] != [] and arrived[-1].body["id"] == linked)
        told = {message.body["id"]: message.body["status"] for message in arrived}  # one may come twice after a kill
        assert told == {first: "failed", linked: "succeeded"}
    assert service.creates == {'{"n": 7}': 1}
    assert unknown(front) == []
    (listed,) = unknown(front, "?all=1")
    assert (listed["id"], listed["settlement"]) == (first, made)
    assert front.call("GET", "/v1/upstreams")[2]["results"][0]["unknown"] == 0


def test_a_prediction_is_submitted_again_only_by_a_person(front: Halley, service: FakeService) -> None:
    first, _ = lose(front, service, 8)
    command = [sys.executable, "-m", "halley.cli.main", "upstreams"]
    environment = {"HALLEY_SERVER": front.url, "HALLEY_TOKEN": front.key, "HOME": str(front.home)}

    def run(*words: str) -> str:
        return subprocess.run(
            [*command, *words], env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    linked = run("retry", first)
    assert ended(front, linked)["output"] == "said 8"
    assert run("retry", first) == linked
    assert service.creates == {'{"n": 8}': 2}  # both were begun: the person has looked before, or accepts it
    assert links(front, linked) == [{"how": "retried", "continues": first}]
    assert json.loads(run("unknown", "--all", "--json"))[0]["settlement"]["continued_by"] == linked
    assert json.loads(run("unknown", "--json")) == []


def test_what_cannot_be_settled_is_refused_with_the_reason(front: Halley, service: FakeService) -> None:
    fine = create(front, 1)["id"]
    assert ended(front, fine)["status"] == "succeeded"
    theirs = list(service.runs)[-1]
    first, run = lose(front, service, 2)
    for prediction_id, status, word in (
        ("0" * 26, 404, "no prediction"),
        (fine, 409, "is not unknown"),
    ):
        for how, body in (("retry", {}), ("adopt", {"upstream_id": run})):
            answer = settle(front, prediction_id, how, **body)
            assert (answer[0], word in answer[1]["detail"]) == (status, True), answer
    refused = settle(front, first, "adopt", upstream_id=theirs)
    assert (refused[0], fine in refused[1]["detail"]) == (409, True)
    for body, word in (
        ({"upstream_id": "no-such-run"}, "has no prediction 'no-such-run'"),
        ({"upstream_id": "../x"}, "has no prediction"),
        ({"upstream_id": run, "provider": "nobody"}, "the providers are: comet"),
        ({}, "upstream_id is required"),
    ):
        answer = settle(front, first, "adopt", **body)
        assert (answer[0], word in answer[1]["detail"]) == (422, True), answer
    assert front.call("DELETE", f"/v1/predictions/{first}/data")[0] == 204
    answer = settle(front, first, "retry")
    assert (answer[0], "its input was removed" in answer[1]["detail"]) == (409, True)
    assert links(front, first) == []
    assert [row["id"] for row in unknown(front)] == [first]
    assert settle(front, first, "adopt", upstream_id=run, provider="comet")[0] == 201


def test_a_run_is_followed_to_its_end_although_its_route_was_removed(front: Halley, service: FakeService) -> None:
    stages = [Stage(status="processing")]
    service.models[MODEL] = lambda _: stages  # type: ignore[index]
    made = create(front, 1)
    while front.call("GET", f"/v1/predictions/{made['id']}")[2]["status"] != "processing":
        time.sleep(0.05)
    front.kill()
    (front.home / "halley.toml").write_text(CONFIG.format(url=service.described["url"]).partition("[routes")[0])
    front.start()
    stages[:] = say({"n": 1})
    assert ended(front, made["id"])["output"] == "said 1"
    assert front.call("POST", f"/v1/models/{MODEL}/predictions", {"input": {"n": 2}})[0] == 404
    assert len(service.runs) == 1
