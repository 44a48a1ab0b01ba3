"""Cog's own server, the PyPI `cog` and `coglet`, one process for one model, without Docker.

It is driven by PUT and `Accept: text/event-stream`, which its schema must allow (`x-cog-streaming`): only so are the
logs of a failed prediction kept. It reads no `cog.yaml`, makes no schema of its own, and starts its worker as `python`
from PATH. Everything that it leaves below /tmp/coglet is removed here, by the ids that we gave.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from process import free_port
from results import Result

LEFT_BEHIND: Final = Path("/tmp/coglet/predictions")
START_SECONDS: Final = 180.0  # other servers start beside it
STATUS_OF_BUSY: Final = 409
_DEFINED: Final = {
    name: re.compile(rf"^(?:class|def|async def) {name}\b", re.MULTILINE)
    for name in ("Runner", "Predictor", "run", "predict")
}


class SetupFailed(Exception):
    """The model does not become ready in Cog's server; the message is what its health check says."""


def reference(file: Path) -> str:
    """`file.py:Name`, as Cog's build would have written it into the image."""
    text = file.read_text()
    return f"{file.name}:{next((name for name, defined in _DEFINED.items() if defined.search(text)), 'Predictor')}"


class CogServer:
    """A server for the model in `file`. Its schema must lie in `.cog/openapi_schema.json` when it starts."""

    def __init__(self, file: Path, python: Path, name: str) -> None:
        self.folder = file.parent
        self.reference = reference(file)
        self._python = python
        self._name = name
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.ids: list[str] = []  # of all predictions here
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "CogServer":
        temporary = self.folder.parent / f"{self.folder.name}.tmp"
        temporary.mkdir()
        environment = {
            "PATH": f"{self._python.parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(temporary),
            "TMPDIR": str(temporary),
            "PORT": str(self._port),
            "COG_PREDICT_TYPE_STUB": self.reference,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",  # as in the images that Cog builds
        }
        with (self.folder.parent / f"{self.folder.name}.log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(self._python), "-m", "cog.server.http", "--host", "127.0.0.1"],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # its worker may outlive it
        self._process.wait(120)
        for prediction_id in self.ids:
            shutil.rmtree(LEFT_BEHIND / prediction_id, ignore_errors=True)

    @staticmethod
    def tidy() -> None:
        """Remove the folders of all that ran here; not while one runs, which may be about to write there."""
        for folder in (LEFT_BEHIND, LEFT_BEHIND.parent):
            with contextlib.suppress(OSError):  # somebody else's things are in it
                folder.rmdir()

    def _wait_ready(self) -> None:
        assert self._process is not None
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            health = self._health()
            if health.get("status") == "READY":
                return
            if health.get("status") not in {None, "STARTING"}:
                raise SetupFailed(str(health.get("setup", {}).get("logs", health)))
            time.sleep(0.02)
        raise SetupFailed(f"it is not ready, and its exit code is {self._process.poll()}")

    def _health(self) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"{self.url}/health-check", timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except (OSError, ValueError):
            return {}

    def predict(self, given: dict[str, Any]) -> Result:
        """Run one prediction to its end."""
        prediction_id = f"halley-parity-{os.getpid()}-{self._name}-{len(self.ids)}"
        self.ids.append(prediction_id)
        end = time.monotonic() + START_SECONDS
        while True:
            request = urllib.request.Request(
                f"{self.url}/predictions/{prediction_id}",
                data=json.dumps({"input": given}).encode(),
                method="PUT",
                headers={"Content-Type": "application/json", "Accept": "text/event-stream"},
            )
            try:
                with urllib.request.urlopen(request, timeout=120) as answer:
                    return _last(answer)
            except urllib.error.HTTPError as error:
                # its slot is given back only after the answer before is out
                if error.code != STATUS_OF_BUSY or time.monotonic() > end:
                    return Result.refused(error.code)
                time.sleep(0.01)


def _last(lines: Iterator[bytes]) -> Result:
    event = ""
    for line in lines:
        name, _, value = line.decode().rstrip("\r\n").partition(": ")
        if name == "event":
            event = value
        elif name == "data" and event == "completed":
            return Result.of_cog(json.loads(value))
        elif name == "data" and event == "error":
            raise AssertionError(f"Cog's server gave up its event stream: {value}")
    raise AssertionError(f"Cog's server ended its stream before it told the end, after an event {event!r}")
