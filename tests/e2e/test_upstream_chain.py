"""The real server in front of another one: an official client, files, streams, cancels, a kill, and no secret left."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from process import ADMIN_KEY, Case, Halley, free_port

pytestmark = pytest.mark.e2e

PROVIDER = """
[providers.back]
kind = "replicate"
profile = "halley"
url = "{url}/v1"
{token}
"""
ROUTES = """
[routes."demo/*"]
providers = ["back"]

[routes."acme/pause"]
providers = ["back"]
model = "demo/sleep"
"""


@dataclass
class Chain:
    """`front` runs nothing itself; `canary` is its key at `back`."""

    front: Halley
    back: Halley
    canary: str

    def submitted(self) -> list[dict[str, Any]]:
        """What the front has created at the back, newest first."""
        return list(self.back.call("GET", "/v1/predictions", key=self.canary)[2]["results"])

    def there(self) -> dict[str, Any]:
        """The newest of them, whole."""
        return dict(self.back.call("GET", f"/v1/predictions/{self.submitted()[0]['id']}", key=self.canary)[2])

    def create(self, model: str, given: dict[str, Any], wait: int | None = None) -> dict[str, Any]:
        headers = {} if wait is None else {"Prefer": f"wait={wait}"}
        status, _, made = self.front.call("POST", f"/v1/models/{model}/predictions", {"input": given}, headers=headers)
        assert status in {201, 202}, made
        return dict(made)

    def until(self, prediction_id: str, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        for _ in range(600):
            row = self.front.call("GET", f"/v1/predictions/{prediction_id}")[2]
            if reached(row):
                return dict(row)
            time.sleep(0.1)
        raise AssertionError(f"{row}\n{self.front.log()}")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with Halley(tmp_path_factory.mktemp("back")) as back:
        canary = back.account("front")
        home = tmp_path_factory.mktemp("front")
        config = PROVIDER.format(url=back.url, token='token_env = "BACK_TOKEN"') + ROUTES
        with Halley(home, "--no-demo", config=config, environment={"BACK_TOKEN": canary}) as front:
            yield Chain(front, back, canary)


@pytest.fixture
def client(chain: Chain, case_of: Callable[..., Case]) -> Case:
    return case_of("py2", chain.front.url)


def ended(row: dict[str, Any]) -> bool:
    return row["status"] in {"succeeded", "failed", "canceled", "aborted"}


def test_an_official_client_creates_streams_polls_and_cancels_through_the_chain(chain: Chain, client: Case) -> None:
    assert client("stream")["text"] == "".join(chain.there()["output"])
    done = client("poll")
    assert (done["status"], done["output"]) == ("succeeded", "slept for 1.2 s")
    assert client("cancel") == {"after": "canceled", "later": "canceled", "error": None}
    for _ in range(100):  # the cancel is carried through behind the answer
        if chain.there()["status"] == "canceled":
            break
        time.sleep(0.1)
    assert chain.there()["status"] == "canceled"
    assert len({file["sha"] for file in client("paint", pinned=True)}) == 2  # the version has its own id of the back


def test_files_have_the_same_bytes_and_links_of_the_front(chain: Chain) -> None:
    row = chain.create("demo/paint", {"prompt": "sea", "seed": 3, "width": 64, "height": 64}, wait=50)
    assert row["status"] == "succeeded", row
    (link,) = row["output"]
    assert link.startswith(chain.front.url)
    assert chain.back.url not in json.dumps(row)
    theirs = chain.there()
    content = chain.front.call("GET", link)[2]
    assert content == chain.back.call("GET", theirs["output"][0])[2]
    assert chain.back.call("DELETE", f"/v1/predictions/{theirs['id']}/data", key=chain.canary)[0] < 500
    assert hashlib.sha256(chain.front.call("GET", link)[2]).digest() == hashlib.sha256(content).digest()
    assert row["logs"] == theirs["logs"]


def test_files_of_the_front_reach_models_at_the_back(chain: Chain) -> None:
    given = {"prompt": "sea", "seed": 3, "width": 320, "height": 320}
    (link,) = chain.create("demo/paint", given, wait=50)["output"]
    for side, becomes in (
        (320, "data:image/webp;base64,"),
        (640, f"{chain.back.url}/v1/files/"),
    ):  # the second is large
        row = chain.create("demo/upscale", {"image": link}, wait=50)
        assert row["status"] == "succeeded", row
        assert row["logs"].endswith(f"{side} x {side} -> {2 * side} x {2 * side}\n")
        assert row["input"]["image"] == link
        assert chain.there()["input"]["image"].startswith(becomes)
        link = row["output"]


def test_wrong_inputs_and_unknown_models_are_refused_at_the_front(chain: Chain) -> None:
    before = len(chain.submitted())
    status, _, fault = chain.front.call("POST", "/v1/models/demo/paint/predictions", {"input": {"width": "wide"}})
    assert (status, "width" in fault["detail"]) == (422, True)
    assert chain.front.call("POST", "/v1/models/demo/none/predictions", {"input": {}})[0] == 404
    assert chain.front.call("POST", "/v1/models/acme/other/predictions", {"input": {}})[0] == 404
    assert len(chain.submitted()) == before


def test_a_killed_front_adopts_its_run_and_submits_it_once(chain: Chain) -> None:
    before = len(chain.submitted())
    made = chain.create("acme/pause", {"seconds": 3})
    chain.until(made["id"], lambda row: row["status"] == "processing" and "1/20" in (row["logs"] or ""))
    chain.front.kill()
    chain.front.start()
    row = chain.until(made["id"], ended)
    assert (row["status"], row["output"], row["model"]) == ("succeeded", "slept for 3 s", "acme/pause")
    assert len(chain.submitted()) == before + 1
    assert (chain.there()["model"], chain.there()["logs"]) == ("demo/sleep", row["logs"])
    assert f"{made['id']} was running when the server stopped: its run at " in chain.front.log()


def test_operators_see_what_goes_where(chain: Chain) -> None:
    command = [sys.executable, "-m", "halley.cli.main"]
    environment = {"HALLEY_SERVER": chain.front.url, "HALLEY_TOKEN": ADMIN_KEY, "HOME": str(chain.front.home)}

    def said(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *words], env=environment, capture_output=True, text=True, check=True)

    listed = said("upstreams", "list")
    name, state, runs, _, unknown, *_ = listed.stdout.splitlines()[1].split()
    assert (name, state, runs, unknown) == ("back", "works", "0/20", "0")
    shown = said("upstreams", "show", "back").stdout
    assert ("works" in shown, "0/20" in shown, chain.back.url in shown) == (True, True, True)
    words = [*command, "upstreams", "show", "bak"]
    wrong = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (wrong.returncode, "The services are: back." in wrong.stderr) == (2, True)
    assert "demo/sleep" in said("routes", "list").stdout
    tried = said("routes", "test", "acme/pause")
    assert tried.stdout == "back\n"
    assert "back (demo/sleep): yes" in tried.stderr
    (row,) = chain.front.call("GET", "/v1/upstreams")[2]["results"]
    assert (row["state"], row["in_flight"], row["unknown"]) == ("closed", 0, 0)
    assert chain.front.call("GET", "/v1/upstreams", key=chain.front.account("bob"))[0] == 403


def test_the_token_is_nowhere_but_in_the_memory_of_the_front(chain: Chain) -> None:
    made = [chain.front.call("GET", "/v1/predictions")[2], chain.front.call("GET", "/v1/upstreams")[2]]
    assert chain.canary not in json.dumps(made)
    assert chain.front.process is not None
    status = Path(f"/proc/{chain.front.process.pid}")
    found = [status / "environ", status / "cmdline", *(path for path in chain.front.home.rglob("*") if path.is_file())]
    assert len(found) > 5  # more, if other tests of this file ran before
    assert [path for path in found if chain.canary.encode() in path.read_bytes()] == []


def test_a_hangup_reads_providers_and_routes_again(chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(chain.canary)
    config = PROVIDER.format(url=f"http://127.0.0.1:{free_port()}", token=f'token_file = "{tmp_path}/token"') + ROUTES
    with Halley(tmp_path, "--no-demo", config=config) as front:  # its upstream is away: it starts all the same
        assert front.call("GET", "/readyz")[0] == 200
        status, headers, fault = front.call("POST", "/v1/models/demo/noop/predictions", {"input": {}})
        assert (status, "retry-after" in headers) == (503, True), fault
        assert "demo/noop" in fault["detail"]
        (tmp_path / "halley.toml").write_text("[providers.local]\n")
        assert front.process is not None
        front.process.send_signal(signal.SIGHUP)
        _until(lambda: "SIGHUP: the settings are not valid" in front.log(), front)
        config = PROVIDER.format(url=chain.back.url, token=f'token_file = "{tmp_path}/token"')
        (tmp_path / "halley.toml").write_text(
            config + '[routes."other/*"]\nproviders = ["back"]\nmodel = "demo/{name}"\n'
        )
        front.process.send_signal(signal.SIGHUP)
        _until(lambda: front.call("GET", "/v1/routes")[2]["results"][0]["name"] == "other/*", front)
        headers = {"Prefer": "wait=50"}
        status, _, row = front.call("POST", "/v1/models/other/noop/predictions", {"input": {}}, headers=headers)
        assert (status, row["status"]) == (201, "succeeded"), row
        assert front.call("POST", "/v1/models/demo/noop/predictions", {"input": {}})[0] == 404
        (tmp_path / "token").write_text("of-nobody")
        front.process.send_signal(signal.SIGHUP)
        _until(lambda: "its token was replaced" in front.log(), front)
        row = front.call("POST", "/v1/models/other/noop/predictions", {"input": {}}, headers=headers)[2]
        assert (row["status"], "401" in row["error"]) == ("failed", True), row
        assert front.call("GET", "/readyz")[0] == 200


def test_a_busy_machine_passes_work_on(chain: Chain, tmp_path: Path) -> None:
    config = PROVIDER.format(url=chain.back.url, token='token_env = "BACK_TOKEN"')
    config += '[routes."demo/sleep"]\nproviders = ["local", "back"]\nspill_over_queue = 1\n'
    path, headers = "/v1/models/demo/sleep/predictions", {"Prefer": "wait=20"}
    with Halley(tmp_path, config=config, environment={"BACK_TOKEN": chain.canary}) as front:
        before = -1
        while (there := len(chain.submitted())) != before:  # until its own process has started and takes one
            before = there
            front.call("POST", path, {"input": {"seconds": 0.1}}, headers=headers)
        given = {"input": {"seconds": 1}}
        made = [front.call("POST", "/v1/models/demo/sleep/predictions", given)[2] for _ in range(6)]
        assert {row["version"] for row in made} == {made[0]["version"]}
        for one in made:
            row = one
            while not ended(row):  # the time limit of the test is the bound
                row = front.call("GET", f"/v1/predictions/{one['id']}", headers={"Prefer": "wait=20"})[2]
            assert (row["status"], row["output"]) == ("succeeded", "slept for 1 s"), row
        assert 1 <= len(chain.submitted()) - before <= 5
        assert front.call("GET", "/v1/routes/demo/sleep")[2]["provider"] == "local"


def _until(reached: Callable[[], bool], front: Halley) -> None:
    for _ in range(200):
        if reached():
            return
        time.sleep(0.1)
    raise AssertionError(front.log())
