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
input_links = true

[routes."demo/*"]
providers = ["back"]
"""
PAINT = {"input": {"prompt": "sea", "seed": 3, "width": 64, "height": 64}}
RECEIVED = "POST /upstreams/hooks/{capability} 204"


@pytest.fixture(scope="module")
def back(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    config = '[egress]\nallow = ["127.0.0.0/8:*"]\n'  # inputs at the front are on this machine
    with Halley(tmp_path_factory.mktemp("back"), config=config) as server:
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
        assert re.fullmatch(rf"{made['id']}-1-back-[\w-]{{22}}", token)
        assert token not in front.output.read_text()
        forged = token[:-1] + ("A" if token[-1] != "A" else "B")
        assert front.call("POST", f"/v1/upstreams/hooks/{forged}", {"id": there["id"]}, key=None)[0] == 404
        assert front.call("GET", f"/v1/upstreams/hooks/{token}", key=None)[0] == 405
        assert token not in str(front.call("GET", f"{path}/events")[2]) + str(front.call("GET", path)[2])
        until(lambda: front.call("GET", "/v1/upstreams")[2]["results"][0]["webhooks"] == "arriving", front)
        picture = front.call("POST", "/v1/models/demo/paint/predictions", PAINT, headers={"Prefer": "wait=50"})[2]
        given = {"input": {"image": picture["output"][0], "scale": 2}}
        row = front.call("POST", "/v1/models/demo/upscale/predictions", given, headers={"Prefer": "wait=50"})[2]
        assert row["status"] == "succeeded", row
        sent = back.call("GET", "/v1/predictions", key=environment["BACK_TOKEN"])[2]["results"][0]["id"]
        sent = back.call("GET", f"/v1/predictions/{sent}", key=environment["BACK_TOKEN"])[2]["input"]["image"]
        assert sent.startswith(f"{front.url}/d/")
