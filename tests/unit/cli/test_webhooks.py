"""Checking signatures, and bringing messages to a local program."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from receiver import Receiver
from standardwebhooks import Webhook

from halley.cli.failures import Unreachable, UsageProblem
from halley.cli.screen import Screen
from halley.cli.webhooks import Forwarder, checked, since_text

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
BODY = b'{"id":"gm3qorzdhgbfurvjtvhg6dckhu","status":"succeeded","output":"hello Alice"}'
VECTOR = [
    "webhook-id: msg_2b7k1q",
    "Webhook-Timestamp: 1767225600",
    "webhook-signature: v1,AAAA v1,lzffJoJ0NFKXWozd4uNl5FZTDYd3oaw3LfVM5eJbGDc=",
]


def test_the_vector_of_the_contract_is_genuine() -> None:
    assert checked(BODY, VECTOR, SECRET).startswith("Genuine")


def test_a_fresh_message_is_not_called_old() -> None:
    now = datetime.now(UTC) - timedelta(seconds=3)
    signature = Webhook(SECRET).sign("msg_1", now, BODY.decode())
    lines = ["webhook-id: msg_1", f"webhook-timestamp: {int(now.timestamp())}", f"webhook-signature: {signature}"]
    text = checked(BODY, lines, SECRET)
    assert "s ago" in text
    assert "refuse" not in text


@pytest.mark.parametrize(
    ("body", "lines", "secret", "said"),
    [
        (BODY + b" ", VECTOR, SECRET, "does not match"),
        (BODY, VECTOR, "whsec_" + "A" * 32, "does not match"),
        (BODY, ["webhook-id: msg_other", *VECTOR[1:]], SECRET, "does not match"),
        (BODY, VECTOR[:2], SECRET, "webhook-signature is missing"),
        (BODY, [VECTOR[0], "webhook-timestamp: soon", VECTOR[2]], SECRET, "cannot be read"),
        (b"\xff", VECTOR, SECRET, "cannot be read"),
    ],
)
def test_what_is_not_genuine_is_refused_with_a_reason(body: bytes, lines: list[str], secret: str, said: str) -> None:
    with pytest.raises(UsageProblem, match=said):
        checked(body, lines, secret)


class NoPause:
    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None: ...

    def random(self) -> float:
        return 0.5


class Stream:
    """A server whose stream breaks now and then."""

    def __init__(self, *connections: list[dict[str, object]]) -> None:
        self.timing = NoPause()
        self.asked: list[str] = []
        self._connections = list(connections)

    def webhook_messages(self, query: Mapping[str, str], *, after: str = "") -> Iterator[dict[str, object] | None]:
        self.asked.append(after)
        if not self._connections:
            raise Unreachable("gone")
        yield None
        yield from self._connections.pop(0)


def message(position: int) -> dict[str, object]:
    headers = {"webhook-id": f"msg_{position}", "webhook-timestamp": "1", "webhook-signature": "v1,x"}
    return {
        "position": position,
        "id": f"msg_{position}",
        "event": "completed",
        "prediction": "p",
        "headers": headers,
        "body": '{"output":"é"}',
    }


def test_messages_are_posted_unchanged_and_a_broken_stream_is_resumed(capsys: pytest.CaptureFixture) -> None:
    server = Stream([message(3), message(4)], [message(5)])
    with Receiver() as receiver, Forwarder(receiver.url, Screen()) as forwarder:
        forwarder.begin({"position": 2, "results": []})
        with pytest.raises(Unreachable):
            forwarder.follow(server, {"events": "completed"})
        arrived = receiver.wait_for(3)
    assert [one.id for one in arrived] == ["msg_3", "msg_4", "msg_5"]
    assert arrived[0].content == '{"output":"é"}'.encode()
    assert arrived[0].headers["webhook-signature"] == "v1,x"
    assert server.asked[:3] == ["2", "4", "5"]
    assert "msg_3  200" in capsys.readouterr().out


def test_a_missing_program_is_reported(capsys: pytest.CaptureFixture) -> None:
    with Receiver() as gone:
        url = gone.url
    with Forwarder(url, Screen()) as forwarder:
        forwarder.post(message(1))
    assert "no answer" in capsys.readouterr().out


def test_times_are_written_as_the_server_reads_them() -> None:
    at = datetime.fromisoformat(since_text(600))
    assert abs((datetime.now(UTC) - at).total_seconds() - 600) < 5


@pytest.mark.parametrize("url", ["localhost:3000", "/hook", "ftp://localhost/hook", "http://", "http://[::1"])
def test_what_is_no_url_of_a_receiver_is_refused_before_messages_are_lost(url: str) -> None:
    with pytest.raises(UsageProblem, match="is not a URL"):
        Forwarder(url, Screen())
