"""The real server in front of a stand-in of CometAPI: the seed's requests, files that stay, nothing paid twice."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from process import Halley
from test_seed import SEED_FIELDS

from halley.testing.replicate.faults import ServiceFault, says
from halley.testing.replicate.scripts import Stage
from halley.testing.replicate.server import ThreadedServer
from halley.testing.replicate.service import TOKEN, FakeService

pytestmark = pytest.mark.e2e

MODEL = "black-forest-labs/flux-schnell"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
CONFIG = """
[providers.comet]
kind = "replicate"
url = "{url}"
token_env = "COMETAPI_KEY"
profile = "cometapi"

[routes."black-forest-labs/*"]
providers = ["comet"]
"""


class Gateway(ThreadedServer):
    """The stand-in."""

    def __init__(self) -> None:
        super().__init__(FakeService({MODEL: self._paint}, style="cometapi"))
        self.service.files = {"one.png": PNG, "two.png": PNG[::-1]}

    def _paint(self, given: dict[str, Any]) -> list[Stage]:
        output = [f"{self.root}/a/{name}" for name in given.get("names", ["one.png", "two.png"])]
        done = Stage(
            status="succeeded", logs="step 1\n", output=output, metrics={"image_count": 2, "predict_time": 0.5}
        )
        return [Stage(status="processing", logs="step 1\n"), done]


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Gateway() as found:
        yield found


@pytest.fixture(scope="module")
def front(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    config = CONFIG.format(url=f"{gateway.root}/replicate/v1")
    environment = {"COMETAPI_KEY": TOKEN}
    with Halley(tmp_path_factory.mktemp("front"), "--no-demo", config=config, environment=environment) as server:
        yield server


def create(front: Halley, **given: Any) -> dict[str, Any]:
    status, _, made = front.call("POST", f"/replicate/v1/models/{MODEL}/predictions", {"input": given})
    assert status == 201, made
    return dict(made)


def ended(front: Halley, prediction_id: str) -> dict[str, Any]:
    for _ in range(600):
        row = front.call("GET", f"/replicate/v1/predictions/{prediction_id}")[2]
        if row["completed_at"] is not None:
            return dict(row)
        time.sleep(0.1)
    raise AssertionError(f"{row}\n{front.log()}")


def test_the_seed_and_its_gateways_worst_habits(front: Halley, gateway: Gateway) -> None:
    made = [create(front, prompt="a paper boat"), create(front, prompt="gone", names=["no.png"])]
    _until(lambda: len(gateway.service.runs) == 2)
    gateway.service.plan("create", ServiceFault(acts=True, cut="answer"))
    made.append(create(front, prompt="lost"))
    _until(lambda: len(gateway.service.runs) == 3)
    gateway.service.plan("create", says(500, {"error": {"code": "invalid_request", "message": "prompt is too short"}}))
    made.append(create(front, prompt=""))
    good, gone, lost, refused = [ended(front, one["id"]) for one in made]

    assert good["status"] == "succeeded", good
    for name, kinds in SEED_FIELDS.items():
        assert isinstance(good[name], kinds), name
    assert (good["logs"], good["metrics"]["image_count"], good["model"]) == ("step 1\n", 2, MODEL)
    assert all(link.startswith(f"{front.url}/d/") for link in good["output"])
    gateway.service.files.clear()  # as an hour later
    assert [front.call("GET", link)[2] for link in good["output"]] == [PNG, PNG[::-1]]

    assert gone["status"] == "failed"
    assert "answered 404" in gone["error"]
    assert lost["status"] == "failed"
    assert "paid for twice" in lost["error"]
    assert refused["status"] == "failed"
    assert "prompt is too short" in refused["error"]

    assert max(gateway.service.creates.values()) == 1
    assert len(gateway.service.runs) == 3
    (told,) = front.call("GET", "/v1/upstreams")[2]["results"]
    assert told["unknown"] == 1
    shown = json.dumps([good, lost, refused, front.call("GET", "/v1/predictions")[2]["results"][-1]])
    assert gateway.root not in shown
    assert TOKEN not in shown + json.dumps(told) + Path(front.output).read_text()


def _until(reached: Callable[[], bool]) -> None:
    for _ in range(600):
        if reached():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen in 30 s")
