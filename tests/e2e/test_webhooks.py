"""Webhooks of the real server: they arrive, the official verifiers take them, and the log knows all."""

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from process import Case, Halley
from receiver import Arrived, Receiver
from standardwebhooks import Webhook

pytestmark = pytest.mark.e2e
VERIFIERS = pytest.mark.parametrize("client", ["py1", "js"], indirect=True)  # the other one has none
QUICK = "[webhooks]\nretry_first_seconds = 0.1\nretry_for_seconds = 2\n"


@pytest.fixture(scope="module")
def halley(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    """One server whose retries follow quickly, for all tests of this module."""
    with Halley(tmp_path_factory.mktemp("hooks"), config=QUICK) as server:
        yield server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def create(halley: Halley, model: str, hook: str, given: dict[str, Any], **members: Any) -> str:
    body = {"input": given, "webhook": hook, **members}
    status, _, made = halley.call("POST", f"/v1/models/{model}/predictions", body)
    assert status == 201, made
    return str(made["id"])


def deliveries(halley: Halley, prediction_id: str) -> list[dict[str, Any]]:
    """The log of a prediction, oldest first, once nothing is under way."""
    for _ in range(200):
        _, _, page = halley.call("GET", f"/v1/webhooks/deliveries?prediction={prediction_id}")
        if all(one["state"] != "sending" for one in page["results"]):
            return page["results"][::-1]
        time.sleep(0.05)
    raise AssertionError(page)


@VERIFIERS
def test_the_official_verifiers_accept_what_arrives(client: Case, halley: Halley, receiver: Receiver) -> None:
    made = client("told", webhook=receiver.url, events=["start", "output", "logs", "completed"])
    arrived = receiver.wait(lambda all_: any(one.body["status"] == "succeeded" for one in all_))
    for message in arrived:
        assert client("verify", headers=message.headers, body=message.content.decode())["valid"] is True
    last = arrived[-1]
    assert last.id == f"msg_{made}"
    assert len({one.id for one in arrived}) == len(arrived)
    refused = client("verify", headers=last.headers, body=last.content.decode().replace("succeeded", "failed"))
    assert refused["valid"] is False
    other = {**last.headers, "webhook-id": "msg_other"}
    assert client("verify", headers=other, body=last.content.decode())["valid"] is False


def test_the_javascript_verifier_works_on_nodejs_18(
    case_of: Callable[..., Case], halley: Halley, receiver: Receiver
) -> None:
    without_crypto = {"NODE_OPTIONS": "--import=data:text/javascript,delete(globalThis.crypto)"}
    client = case_of("js", halley.url, without_crypto)
    client("told", webhook=receiver.url, events=["completed"])
    (message,) = receiver.wait_for(1)
    assert client("verify", headers=message.headers, body=message.content.decode())["valid"] is True


def test_the_official_clients_get_the_secret(client: Case, halley: Halley) -> None:
    assert client("secret") == halley.call("GET", "/v1/webhooks/default/secret")[2]["key"]


@VERIFIERS
def test_a_rotation_breaks_no_verifier(client: Case, halley: Halley, receiver: Receiver) -> None:
    _, _, old = halley.call("GET", "/v1/webhooks/default/secret")
    halley.call("POST", "/v1/webhooks/default/secret/rotate", {"overlap_seconds": 600})
    client("told", webhook=receiver.url, events=["completed"])
    (message,) = receiver.wait_for(1)
    checked = client("verify", headers=message.headers, body=message.content.decode())
    assert checked["valid"] is True
    assert checked["secret"] != old["key"]
    Webhook(old["key"]).verify(message.content, message.headers)  # whoever has not changed yet


@pytest.mark.parametrize("prefix", ["/v1", "/replicate/v1"])
def test_the_body_is_what_a_get_answers(halley: Halley, receiver: Receiver, prefix: str) -> None:
    body = {"input": {"prompt": "sea", "width": 64, "height": 64}, "webhook": receiver.url + "?mine=1"}
    _, _, made = halley.call("POST", f"{prefix}/models/demo/paint/predictions", body)
    arrived = receiver.wait(lambda all_: any(one.body["status"] == "succeeded" for one in all_))
    assert {one.path for one in arrived} == {"/hook?mine=1"}
    assert arrived[-1].headers["content-type"] == "application/json"
    _, _, shown = halley.call("GET", f"{prefix}/predictions/{made['id']}")
    assert arrived[-1].body == shown
    assert shown["urls"]["get"] == f"{halley.url}{prefix}/predictions/{made['id']}"
    assert "logs" in shown
    assert halley.call("GET", shown["output"][0], key=None)[0] == 200


def test_a_failed_delivery_is_sent_again(halley: Halley, tmp_path: Path) -> None:
    answers = iter([500, 301, 429])
    with Receiver(lambda _: next(answers, 200)) as receiver:
        made = create(halley, "demo/noop", receiver.url, {}, webhook_events_filter=["completed"])
        arrived = receiver.wait_for(4)
        log = deliveries(halley, made)
    assert {one.id for one in arrived} == {f"msg_{made}"}
    assert len({one.content for one in arrived}) == 1
    assert [(one["attempt"], one["state"], one["response"]["status"]) for one in log] == [
        (1, "failed", 500),
        (2, "failed", 301),
        (3, "failed", 429),
        (4, "delivered", 200),
    ]
    assert [one["next_attempt_at"] is None for one in log] == [False, False, False, True]
    assert log[3]["response"]["body"] == "ok"
    assert log[3]["request"]["headers"]["webhook-signature"] == arrived[3].headers["webhook-signature"]


def test_no_program_listens(halley: Halley, receiver: Receiver) -> None:
    with Receiver() as gone:
        nowhere = gone.url
    made = create(halley, "demo/noop", nowhere, {})
    create(halley, "demo/noop", receiver.url, {})
    receiver.wait_for(1)  # nobody waits for the other
    for _ in range(600):
        log = deliveries(halley, made)
        if log and log[-1]["next_attempt_at"] is None:
            break
        time.sleep(0.05)
    assert len(log) == 5  # 0.1, 0.2, 0.4 and 0.8 s
    assert {one["state"] for one in log} == {"failed"}
    assert all("could not be reached" in one["error"] for one in log)


def test_a_receiver_that_never_answers_is_given_up_and_delays_no_other(halley: Halley, receiver: Receiver) -> None:
    is_over = threading.Event()

    def answer(_message: Arrived) -> int:
        if is_over.is_set():
            return 200
        is_over.wait(60)
        return 504  # to nobody

    with Receiver(answer) as silent:
        ends = {"webhook_events_filter": ["completed"]}
        made = [create(halley, "demo/noop", silent.url, {}, **ends) for _ in range(6)]
        silent.wait_for(4)  # as many as one receiver may get at once
        others = [create(halley, "demo/noop", receiver.url, {}, **ends) for _ in range(5)]
        receiver.wait_for(5)
        under_way = [line for each in made for line in page(halley, each)]
        assert [line["state"] for line in under_way] == ["sending"] * 4, "nobody waited until these were given up"
        assert {one.body["id"] for one in receiver.arrived} == set(others)
        given_up = under_way[0]["prediction"]
        first = wait_for_end(halley, given_up)
        is_over.set()
        silent.wait(lambda arrived: {one.body["id"] for one in arrived if one.status == 200} == set(made))
        assert deliveries(halley, given_up)[-1]["state"] == "delivered"
    assert (first["state"], first["response"], first["attempt"]) == ("failed", None, 1)
    assert "took longer than 10 s" in first["error"]
    assert first["next_attempt_at"] is not None
    assert first["latency_seconds"] >= 10


def page(halley: Halley, prediction_id: str) -> list[dict[str, Any]]:
    """What the log has of it now, oldest first."""
    _, _, found = halley.call("GET", f"/v1/webhooks/deliveries?prediction={prediction_id}")
    results: list[dict[str, Any]] = found["results"]
    return results[::-1]


def wait_for_end(halley: Halley, prediction_id: str) -> dict[str, Any]:
    """The first attempt, once it is over."""
    for _ in range(600):
        first = page(halley, prediction_id)[0]
        if first["state"] != "sending":
            return first
        time.sleep(0.05)
    raise AssertionError(first)


def test_410_ends_the_delivery(halley: Halley) -> None:
    with Receiver(lambda _: 410) as receiver:
        made = create(halley, "demo/text", receiver.url, {"prompt": "A", "max_tokens": 4, "delay": 0.3})
        for _ in range(200):
            if halley.call("GET", f"/v1/predictions/{made}")[2]["status"] == "succeeded":
                break
            time.sleep(0.05)
        time.sleep(0.5)
        (line,) = deliveries(halley, made)
        assert (line["state"], line["event"]) == ("gone", "output")
        assert len(receiver.arrived) == 1


def test_a_delivery_is_sent_again(halley: Halley, receiver: Receiver) -> None:
    made = create(halley, "demo/noop", receiver.url, {}, webhook_events_filter=["completed"])
    receiver.wait_for(1)
    (line,) = deliveries(halley, made)
    assert halley.call("POST", f"/v1/webhooks/deliveries/{line['id']}/resend")[0] == 202
    first, second = receiver.wait_for(2)
    assert first.id == second.id
    assert first.content == second.content


def test_loopback_is_refused_where_strangers_may_call(tmp_path: Path, receiver: Receiver) -> None:
    config = '[server]\npublic_url = "https://halley.example.com/"\n'
    with Halley(tmp_path, "--no-demo", config=config) as server:
        assert " https://halley.example.com/v1 " in server.log()
        body = {"version": "a/b", "input": {}, "webhook": receiver.url}
        status, _, refused = server.call("POST", "/v1/predictions", body)
    assert status == 422
    assert refused["invalid_fields"][0]["field"] == "webhook"
    assert receiver.arrived == []


def test_the_secret_survives_a_restart_and_its_loss_is_an_error(tmp_path: Path) -> None:
    server = Halley(tmp_path, "--no-demo").start()
    _, _, first = server.call("GET", "/v1/webhooks/default/secret")
    server.stop()
    server.start()
    assert server.call("GET", "/v1/webhooks/default/secret")[2] == first
    server.stop()
    secrets = tmp_path / "data" / "secrets.json"
    assert secrets.stat().st_mode & 0o077 == 0
    assert first["key"].encode() not in (tmp_path / "data" / "halley.db").read_bytes()
    secrets.unlink()
    server.start(wait=False)
    assert server.process is not None
    assert server.process.wait(120) != 0
    assert "secrets.json is missing" in server.log()


def test_a_stop_sends_ends_that_came_before_it(tmp_path: Path, receiver: Receiver) -> None:
    with Halley(tmp_path) as server:
        made = create(server, "demo/sleep", receiver.url, {"seconds": 1}, webhook_events_filter=["start", "completed"])
        receiver.wait_for(1)  # it runs
        assert server.stop() == 0  # the run ends first
    told: list[Arrived] = receiver.wait_for(2, seconds=1)
    assert told[1].id == f"msg_{made}"
    with closing(sqlite3.connect(tmp_path / "data" / "halley.db")) as database:
        held = database.execute("SELECT session_id, fence FROM duties").fetchall()
    assert held == [(None, 1)], "another process may send and maintain at once"


def command(halley: Halley, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "halley.cli.main", *arguments, "--server", halley.url, "--token", halley.key]


def said(halley: Halley, *arguments: str, code: int = 0, **more: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command(halley, *arguments), capture_output=True, text=True, timeout=120, check=False, **more)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_listening_brings_messages_to_a_local_program(tmp_path: Path, receiver: Receiver) -> None:
    """Without a webhook in the prediction, and through a restart of the server."""
    with Halley(tmp_path, config=QUICK) as server:
        path = "/v1/models/demo/noop/predictions"
        early = server.call("POST", path, {"input": {}}, headers={"Prefer": "wait"})[2]["id"]
        listening = subprocess.Popen(
            command(server, "webhooks", "listen", "--forward", receiver.url, "--since", "10m"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            receiver.wait_for(1)
            server.kill()
            server.start()
            late = server.call("POST", path, {"input": {}})[2]["id"]
            arrived = receiver.wait(lambda all_: all_[-1].id == f"msg_{late}")
        finally:
            listening.send_signal(signal.SIGINT)
            printed, noted = listening.communicate(timeout=120)
        assert listening.returncode == 0, noted
        assert arrived[0].id == f"msg_{early}"
        assert f"msg_{early}  200" in printed
        key = server.call("GET", "/v1/webhooks/default/secret")[2]["key"]
        for message in arrived:
            Webhook(key).verify(message.content, message.headers)
        assert arrived[-1].body == server.call("GET", f"/v1/predictions/{late}")[2]


def test_the_command_line_shows_verifies_and_sends_again(halley: Halley, receiver: Receiver, tmp_path: Path) -> None:
    made = create(halley, "demo/noop", receiver.url, {}, webhook_events_filter=["completed"])
    (message,) = receiver.wait_for(1)
    deliveries(halley, made)
    listed = said(halley, "webhooks", "deliveries", "--prediction", made).stdout
    assert made in listed
    assert "delivered" in listed
    said(halley, "webhooks", "resend", made)
    assert receiver.wait_for(2)[1].id == message.id
    body = tmp_path / "body.json"
    body.write_bytes(message.content)
    headers = [
        part
        for name in message.headers
        if name.startswith("webhook-")
        for part in ("-H", f"{name}: {message.headers[name]}")
    ]
    assert "Genuine" in said(halley, "webhooks", "verify", str(body), *headers).stderr
    body.write_bytes(message.content + b" ")
    assert "does not match" in said(halley, "webhooks", "verify", str(body), *headers, code=2).stderr
    old = said(halley, "webhooks", "secret").stdout.strip()
    new = said(halley, "webhooks", "secret", "--rotate").stdout.strip()
    assert said(halley, "webhooks", "secret").stdout.strip() == new != old
    assert new.startswith("whsec_")
