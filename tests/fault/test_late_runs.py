"""A service loses the answer to a create, and is out of order for longer than its run is looked for."""

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from e2e.process import Halley
from fault.upstream_kills import BUILD, CONFIG, PATH
from halley.testing.replicate.faults import ServiceFault, says
from halley.testing.replicate.scripts import Stage
from halley.testing.replicate.server import ThreadedServer
from halley.testing.replicate.service import TOKEN, FakeService, kind_of

pytestmark = [pytest.mark.e2e, pytest.mark.fault]

MODEL = "test/echo"


class BrokenForAWhile(FakeService):
    """Its list cannot be read until it is repaired."""

    is_broken = True

    def fault(self, asked: Any) -> ServiceFault | None:
        if kind_of(asked) == "list" and self.is_broken:
            return says(503, b"")
        return super().fault(asked)


def say(given: dict[str, Any]) -> list[Stage]:
    return [Stage(status="starting"), Stage(status="succeeded", output=f"said {given['n']}")]


def ended(front: Halley, prediction_id: str) -> dict[str, Any]:
    for _ in range(60):
        row = front.call("GET", f"/v1/predictions/{prediction_id}", headers={"Prefer": "wait=1"})[2]
        if row["status"] in {"succeeded", "failed"}:
            return dict(row)
    raise AssertionError(f"{row}\n{front.log()}")


def continued_by(front: Halley, prediction_id: str) -> str:
    for _ in range(300):
        events = front.call("GET", f"/v1/predictions/{prediction_id}/events")[2]["results"]
        for event in events:
            if event["event"] == "linked":
                assert event["data"]["how"] == "found"
                return str(event["data"]["continued_by"])
        time.sleep(0.1)
    raise AssertionError(front.log())


def test_its_result_is_kept_by_another_prediction_also_after_a_kill(tmp_path: Path) -> None:
    service = BrokenForAWhile({MODEL: say})
    service.described = {MODEL: {"is_official": True}}
    service.plan("create", ServiceFault(acts=True, cut="answer"))
    environment = {"UPSTREAM_KEY": TOKEN, "PYTHONPATH": str(PATH)}
    with ThreadedServer(service) as upstream:
        kind = 'kind = "replicate"\nprofile = "replicate"\nlook_seconds = 1.0'
        config = CONFIG.format(url=upstream.url, kind=kind)
        with Halley(
            tmp_path, "--no-demo", config=config, environment=environment, command=(sys.executable, str(BUILD))
        ) as front:
            made = front.call("POST", f"/v1/models/{MODEL}/predictions", {"input": {"n": 5}})[2]
            first = ended(front, made["id"])
            assert (first["status"], "paid for twice" in first["error"]) == ("failed", True)
            front.kill()
            front.start()
            service.is_broken = False
            linked = continued_by(front, made["id"])
            assert ended(front, linked)["output"] == "said 5"
            assert front.call("GET", "/v1/upstreams/unknown")[2]["results"] == []
            assert len(front.call("GET", "/v1/predictions")[2]["results"]) == 2
    assert service.creates == {'{"n": 5}': 1}
