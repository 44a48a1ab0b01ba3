"""A real child process behind two socket pairs, driven frame by frame as the server does it."""

import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from halley.runner import START

MODELS = Path(__file__).with_name("models")
HANG_SECONDS = 60  # a child that says nothing for so long is stuck; nothing is measured by it


@dataclass
class Story:
    """What one prediction said, in order."""

    frames: list[dict[str, Any]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["t"] == kind]

    @property
    def logs(self) -> str:
        return "".join(frame["text"] for frame in self.of("log"))

    @property
    def outputs(self) -> list[Any]:
        return [frame["value"] for frame in self.of("output")]

    @property
    def done(self) -> dict[str, Any]:
        return self.of("done")[0]

    @property
    def value(self) -> Any:
        assert self.done["status"] == "succeeded", self.done
        return self.done["value"]

    @property
    def error(self) -> str:
        assert self.done["status"] == "failed", self.done
        return self.done["error"]


class Child:
    """The parent's side of protocol v1, as plain as it can be."""

    def __init__(
        self, folder: Path, ref: str, mode: str, run_folder: Path, python: str, config: dict[str, Any]
    ) -> None:
        self.data, data = socket.socketpair()
        self.control, control = socket.socketpair()
        for sock in (self.data, self.control):
            sock.settimeout(HANG_SECONDS)
        whole = {
            "folder": str(folder),
            "ref": ref,
            "max_concurrency": None,
            "environment": {},
            "memory_limit_bytes": None,
            **config,
        }
        parent = whole.pop("parent_pid", os.getpid())
        words = ["--parent", str(parent), "--data", str(data.fileno()), "--control", str(control.fileno())]
        self.process = subprocess.Popen(
            [python, "-X", "utf8", str(START), *words, "--mode", mode, "--config", json.dumps(whole)],
            pass_fds=(data.fileno(), control.fileno()),
            cwd=folder,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"]},
        )
        data.close()
        control.close()
        self.run_folder = run_folder
        self.seen: list[dict[str, Any]] = []
        self._sent = 0

    def read(self) -> dict[str, Any] | None:
        """The next frame on DATA; None at its end."""
        frame = receive(self.data)
        if frame is not None:
            self.seen.append(frame)
        return frame

    def read_until(self, kind: str) -> dict[str, Any]:
        while (frame := self.read()) is not None:
            if frame["t"] == kind:
                return frame
        raise AssertionError(f"the child left before {kind!r}; it said {self.seen}")

    def read_to_end(self) -> list[dict[str, Any]]:
        while self.read() is not None:
            pass
        return self.seen

    def send(self, given: dict[str, Any], prediction_id: str = "", paths: Any = (), **members: Any) -> str:
        """Ask for a prediction; its id."""
        self._sent += 1
        prediction_id = prediction_id or f"p{self._sent}"
        folder = self.run_folder / prediction_id
        folder.mkdir(exist_ok=True)
        frame = {"t": "predict", "id": prediction_id, "attempt": 1, "input": given, "paths": list(paths)}
        transmit(self.data, {**frame, "folder": str(folder), "context": {}, **members})
        return prediction_id

    def story(self, prediction_id: str) -> Story:
        """Read until this prediction is done; all it said."""
        while not any(f["t"] == "done" and f["id"] == prediction_id for f in self.seen):
            assert self.read() is not None, f"the child left in a prediction; it said {self.seen}"
        return Story([frame for frame in self.seen if frame.get("id") == prediction_id])

    def predict(self, prediction_id: str = "", paths: Any = (), **given: Any) -> Story:
        return self.story(self.send(given, prediction_id, paths))

    def wait_for_log(self, text: str) -> None:
        """Read until this text is in a log."""
        while not any(text in f["text"] for f in self.seen if f["t"] == "log"):
            assert self.read() is not None

    def cancel(self, prediction_id: str) -> None:
        transmit(self.control, {"t": "cancel", "id": prediction_id})

    def send_control(self, frame: dict[str, Any]) -> None:
        transmit(self.control, frame)

    def read_control(self) -> Any:
        return receive(self.control)

    def ping(self, number: int) -> Any:
        self.send_control({"t": "ping", "n": number})
        return self.read_control()

    def stop(self) -> None:
        transmit(self.control, {"t": "stop"})

    def wait(self) -> int:
        """The exit status."""
        return self.process.wait(HANG_SECONDS)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()
        self.data.close()
        self.control.close()


def transmit(sock: socket.socket, frame: dict[str, Any]) -> None:
    body = json.dumps(frame).encode()
    sock.sendall(struct.pack("<I", len(body)) + body)


def receive(sock: socket.socket) -> dict[str, Any] | None:
    head = _exactly(sock, 4)
    if not head:
        return None
    body = _exactly(sock, struct.unpack("<I", head)[0])
    frame: dict[str, Any] = json.loads(body)
    return frame


def _exactly(sock: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        try:
            piece = sock.recv(size - len(parts))
        except ConnectionResetError:
            piece = b""
        if not piece:
            assert not parts, "the child left in the middle of a frame"
            return b""
        parts += piece
    return parts


Start = Callable[..., Child]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a child for a reference into `models`; by default it is served and read until it is ready."""
    children: list[Child] = []
    run_folder = tmp_path / "runs"
    run_folder.mkdir()

    def begin(
        ref: str,
        *,
        mode: str = "serve",
        folder: Path = MODELS,
        python: str = sys.executable,
        ready: bool = True,
        **config: Any,
    ) -> Child:
        child = Child(folder, ref, mode, run_folder, python, config)
        children.append(child)
        if ready:
            child.read_until("ready")
        return child

    yield begin
    for child in children:
        child.close()


@pytest.fixture
def describe(start: Start) -> Callable[..., dict[str, Any]]:
    """The `described` frame of a reference."""

    def ask(ref: str, **options: Any) -> dict[str, Any]:
        return start(ref, mode="inspect", ready=False, **options).read_until("described")

    return ask


@pytest.fixture
def write_model(tmp_path: Path) -> Callable[[str], Path]:
    """A model folder with this text as `predict.py`."""

    def write(text: str, name: str = "predict.py") -> Path:
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)
        return folder

    return write
