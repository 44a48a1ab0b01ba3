"""A real server in front of another one that sends it webhooks: hints arrive, also after a kill, and grant nothing."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from process import Halley, free_port

pytestmark = pytest.mark.e2e

CONFIG = """
[server]
public_url = "http://127.0.0.1:{port}"

[providers.back]
kind = "replicate"
profile = "halley"
url = "{url}/v1"
token_env = "BACK_TOKEN"

[routes."demo/*"]
providers = ["back"]
"""
RECEIVED = "POST /upstreams/hooks/{capability} 204"


@pytest.fixture(scope="module")
def back(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    with Halley(tmp_path_factory.mktemp("back")) as server:
        yield server


def until(reached: object, front: Halley) -> None:
    for _ in range(300):
        if reached():  # type: ignore[operator]
            return
        time.sleep(0.1)
    raise AssertionError(front.log())


def test_a_run_is_followed_by_webhooks_and_polled_rarely_also_after_a_kill(back: Halley, tmp_path: Path) -> None:
    port = free_port()
    config = CONFIG.format(port=port, url=back.url)
    environment = {"BACK_TOKEN": back.account("front")}
    with Halley(tmp_path, "--no-demo", config=config, environment=environment, port=port) as front:
        made = front.call("POST", "/v1/models/demo/sleep/predictions", {"input": {"seconds": 2.5}})[2]
        path = f"/v1/predictions/{made['id']}"
        until(lambda: front.call("GET", path)[2]["status"] == "processing", front)
        until(lambda: RECEIVED in front.log(), front)
        front.kill()
        front.start()
        until(lambda: front.call("GET", path)[2]["status"] == "succeeded", front)
        until(lambda: front.log().count(RECEIVED) >= 2, front)
        (there,) = back.call("GET", "/v1/predictions", key=environment["BACK_TOKEN"])[2]["results"]
        shown = back.call("GET", f"/v1/predictions/{there['id']}", key=environment["BACK_TOKEN"])[2]
        token = shown["webhook"].rpartition("/")[2]
        assert re.fullmatch(rf"{made['id']}-1-[\w-]{{22}}", token)
        assert token not in front.log()
        forged = token[:-1] + ("A" if token[-1] != "A" else "B")
        assert front.call("POST", f"/v1/upstreams/hooks/{forged}", {"id": there["id"]}, key="")[0] == 404
        assert front.call("GET", f"/v1/upstreams/hooks/{token}", key="")[0] == 405
        assert token not in str(front.call("GET", f"{path}/events")[2]) + str(front.call("GET", path)[2])
