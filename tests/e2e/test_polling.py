"""The official clients wait by polling, unmodified; a proxy counts how often they ask."""

import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from e2e.conftest import make_case
from e2e.process import Halley

pytestmark = pytest.mark.e2e

MODELS = Path(__file__).parent / "models"
SECONDS = 10.0
_QUESTION = re.compile(rb"^GET (?:/v1)?/predictions/([0-9a-z]{26}) HTTP", re.MULTILINE)


class CountingProxy:
    """Passes bytes on, and counts the questions for each prediction."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.questions: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):  # it is closed at the end
            while True:
                client, _ = self._listening.accept()
                thread = threading.Thread(target=self._serve, args=(client,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._target)) as server:
            back = threading.Thread(target=_pass_on, args=(server, client, None))
            back.start()
            _pass_on(client, server, self.questions)
            back.join()


def _pass_on(source: socket.socket, sink: socket.socket, questions: "Counter[str] | None") -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            if questions is not None:  # these clients send the head of a request in one piece
                questions.update(match.decode() for match in _QUESTION.findall(data))
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    config = f'[models."test/pace"]\npath = "{MODELS / "pace"}"\npreload = true\n'
    with Halley(tmp_path_factory.mktemp("polling"), "--no-demo", config=config) as running:
        yield running


def test_a_client_that_polls_asks_a_few_times_only(server: Halley, tmp_path: Path) -> None:
    # all at once: ten seconds in all, not a minute
    wanted = [(name, says) for name in ("py1", "py2", "js") for says in (False, True)]
    with CountingProxy(server.port) as proxy, ThreadPoolExecutor(len(wanted)) as pool:
        cases = [make_case(name, proxy.url, server.key, tmp_path) for name, _ in wanted]
        ends = list(
            pool.map(lambda case, one: case("follow", model="test/pace", seconds=SECONDS, says=one[1]), cases, wanted)
        )
    asked = {one: proxy.questions[end["id"]] for one, end in zip(wanted, ends, strict=True)}
    assert {end["status"] for end in ends} == {"succeeded"}
    print(f"questions: {asked}")
    assert all(1 <= asked[name, False] <= 7 for name in ("py1", "py2", "js")), asked
    assert all(1 <= asked[name, True] <= 14 for name in ("py1", "py2", "js")), asked


def test_an_abort_and_progress_are_noticed_while_polls_are_held(server: Halley, tmp_path: Path) -> None:
    # the client looks at its signal between two polls only; the abort comes while its second one is held
    case = make_case("js", server.url, server.key, tmp_path)
    with ThreadPoolExecutor(2) as pool:
        aborting = pool.submit(case, "abort", model="test/pace", seconds=30.0, abort_after=1.5)
        reading = pool.submit(case, "progress", model="test/pace", seconds=3.0, says=True)
        aborted, steps = aborting.result(), reading.result()["steps"]
    print(f"the abort was noticed after {aborted['noticed']:.2f} s")
    assert aborted["noticed"] < 15, "much room for a busy machine; a hold of 20 s is beyond it"
    assert aborted["steps"][-1] == "canceled"
    assert server.call("GET", f"/v1/predictions/{aborted['id']}")[2]["status"] == "canceled"
    assert {1, 2} < {step["lines"] for step in steps}, "each second a line, and each one is told in time"


def test_without_holding_they_ask_twice_a_second(server: Halley, tmp_path: Path) -> None:
    status, _, made = server.call("POST", "/v1/keys", {"username": "free", "options": {"hold": False}})
    assert status == 201
    with CountingProxy(server.port) as proxy:
        end = make_case("js", proxy.url, made["token"], tmp_path)("follow", model="test/pace", seconds=6.0)
    assert end["status"] == "succeeded"
    assert proxy.questions[end["id"]] >= 5
