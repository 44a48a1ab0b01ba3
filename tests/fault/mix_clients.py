"""The clients of the kill mix: ordinary ones that continue after any error, and one whose create is never completed."""

import http.client
import json
import random
import select
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from fault.mix_ledger import Ledger

TIMEOUT_SECONDS: Final = 15.0
CANCELS: Final = 0.15
WAITS: Final = 0.2
DREAMERS: Final = 0.25


def create_bytes(
    key: str, model: str, given: dict[str, Any], *, prefer: str | None = None, webhook: str | None = None
) -> bytes:
    """A whole create request as it goes over the wire, in one piece."""
    body = json.dumps({"input": given} | ({"webhook": webhook} if webhook else {})).encode()
    lines = [
        f"POST /v1/models/{model}/predictions HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *([f"Prefer: {prefer}"] if prefer else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


class RawCreate:
    """A create that is sent on one connection and whose answer is read when we like.

    If it is kept, another create can be sent behind it: with the same head it needs no parser.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request: bytes) -> None:
        """Let it go; raises OSError if nobody takes it."""
        self._socket.sendall(request)

    def close(self) -> None:
        """Leave it without an answer; harmless a second time."""
        self._socket.close()

    def is_answered(self) -> bool:
        """True once a byte of the answer, or the end, has come."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def answer(self, *, keep: bool = False) -> tuple[int, Any] | None:
        """The whole answer, or None if the connection ended before it. Closes, unless it is kept."""
        answer = None
        try:
            with http.client.HTTPResponse(self._socket, method="POST") as response:
                response.begin()
                answer = response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            pass
        if answer is None or not keep:
            self._socket.close()
        return answer


class Client(threading.Thread):
    """Creates, sometimes waits, sometimes cancels, and outlives every server.

    It makes no more predictions than `quota`, which grows while it runs.
    """

    webhook: str | None = None  # of all that it makes

    def __init__(self, port: int, key: str, models: Sequence[str], ledger: Ledger, quota: "Quota", seed: int) -> None:
        super().__init__(name=f"client-{seed}", daemon=True)
        self._port = port
        self._key = key
        self._models = models
        self._ledger = ledger
        self._quota = quota
        self._chance = random.Random(seed)
        self._kept: RawCreate | None = None  # the connection of its newest create
        self.broke: BaseException | None = None

    def run(self) -> None:
        try:
            while self._quota.take():
                self._one()
        except Exception as error:  # noqa: BLE001 - the test's own thread shows it
            self.broke = error
        if self._kept is not None:
            self._kept.close()

    def _one(self) -> None:
        given = {
            "seconds": round(self._chance.uniform(0.01, 0.4), 3),
            "dreams": self._chance.choice([1, 2]) if self._chance.random() < DREAMERS else 0,
        }
        prefer = f"wait={self._chance.randint(1, 2)}" if self._chance.random() < WAITS else None
        request = create_bytes(self._key, self._chance.choice(self._models), given, prefer=prefer, webhook=self.webhook)
        prediction_id = self._create(request)
        if prediction_id is not None and self._chance.random() < CANCELS:
            time.sleep(self._chance.uniform(0, 0.3))
            self._cancel(prediction_id)

    def _create(self, request: bytes) -> str | None:
        raw, self._kept = self._kept, None
        while raw is None:
            try:
                raw = RawCreate(self._port)
            except OSError:  # nobody listens: nothing was sent
                if not self._quota.wait(0.03):
                    return None
        try:
            raw.send(request)
        except OSError:
            raw.close()
            self._ledger.miss()
            return None
        answer = raw.answer(keep=True)
        if answer is not None:
            self._kept = raw
        return note_create(self._ledger, answer)

    def _cancel(self, prediction_id: str) -> None:
        """Ask until somebody answers: cancels may be repeated."""
        while self._quota.is_open:
            try:
                status, body = self._ask("POST", f"/v1/predictions/{prediction_id}/cancel")
            except (OSError, http.client.HTTPException, ValueError):
                self._quota.wait(0.03)
                continue
            if status == 200 and body["status"] == "canceled":
                self._ledger.acknowledge_cancel(prediction_id)
            elif status not in {200, 503}:
                self._ledger.complain(f"cancel: {status} {body}")
            return

    def _ask(self, method: str, path: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, headers={"Authorization": f"Bearer {self._key}"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()


class Quota:
    """How many creates all clients together may make; the conductor lets them have more, and closes it."""

    def __init__(self) -> None:
        self._left = threading.Semaphore(0)
        self._closed = threading.Event()

    @property
    def is_open(self) -> bool:
        return not self._closed.is_set()

    def give(self, count: int) -> None:
        """Allow so many more."""
        self._left.release(count)

    def take(self) -> bool:
        """Wait for one; False when there will be no more."""
        self._left.acquire()
        return self.is_open

    def wait(self, seconds: float) -> bool:
        """Rest; False if it was closed."""
        return not self._closed.wait(seconds)

    def close(self, clients: int) -> None:
        """Send everybody home."""
        self._closed.set()
        self._left.release(clients)


def note_create(ledger: Ledger, answer: tuple[int, Any] | None) -> str | None:
    """Write down what became of a create that was sent; its id if it was acknowledged."""
    if answer is None:
        ledger.miss()
        return None
    status, body = answer
    if status in {201, 202}:
        ledger.acknowledge(body["id"])
        return str(body["id"])
    if status != 503:  # a server that has just begun may say: not yet
        ledger.complain(f"create: {status} {body}")
    return None
