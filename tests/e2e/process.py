"""The real `halley serve` as a process of its own: start, ask, kill, start again."""

import itertools
import json
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

Case = Callable[..., Any]
ADMIN_KEY: Final = "e2e-admin-key-0123456789-abcdefghijkl"
START_SECONDS: Final = 180.0  # some tests serve 200 models, and other tests run beside them


def _own_ports() -> Iterator[int]:
    """Ports below those that the system hands out by itself, of which each test process has some of its own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    first = 12_000 + worker % 16 * 1_250
    return itertools.cycle(random.sample(range(first, first + 1_250), 1_250))


_PORTS: Final = _own_ports()
_KEPT: Final[deque[socket.socket]] = deque(maxlen=300)


def free_port() -> int:
    """A port of loopback that nobody uses now, nor will before a server has it or between two that have it.

    A socket that never listens keeps it for this process, as far as others of these tests are concerned: servers may
    use it, because they set SO_REUSEADDR, and this function does not find it free in another run on this machine.
    """
    for port in itertools.islice(_PORTS, 1_250):
        kept = socket.socket()
        try:
            kept.bind(("127.0.0.1", port))
        except OSError:
            kept.close()
            continue
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if len(_KEPT) == _KEPT.maxlen:
            _KEPT.popleft().close()
        _KEPT.append(kept)
        return port
    raise AssertionError("no port is free")


class Halley:
    """One server process on its own data folder. `home` keeps its data, configuration and output."""

    def __init__(
        self,
        home: Path,
        *arguments: str,
        config: str = "",
        environment: dict[str, str] | None = None,
        command: tuple[str, ...] = (sys.executable, "-m", "halley.cli.main"),
        port: int | None = None,
    ) -> None:
        self.home = home
        self.port = port or free_port()
        self.is_tls = any(word.startswith("--tls") for word in arguments)
        self.trusts: ssl.SSLContext | None = None  # else the local authority
        self.url = f"{'https' if self.is_tls else 'http'}://127.0.0.1:{self.port}"
        self.key = ADMIN_KEY
        (home / "halley.toml").write_text(config)
        self._command = [
            *command,
            *("serve", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--data", str(home / "data"), "--config", str(home / "halley.toml"), *arguments),
        ]
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_DATA_HOME": str(home / "share"),
            "HALLEY_ADMIN_KEY": ADMIN_KEY,
            "NO_COLOR": "1",
            # tests measure the server from outside: root may do so anyway
            **({} if os.geteuid() == 0 else {"HALLEY_SERVER__DEBUGGABLE": "true"}),
            **(environment or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.output = home / "server.log"

    @property
    def authority(self) -> Path:
        """What a client must trust, of a server that was started with --tls."""
        return self.home / "data" / "tls" / "ca.pem"

    def start(self, *, wait: bool = True) -> "Halley":
        with self.output.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        if wait:
            try:
                self.wait_ready()
            except BaseException:
                self.kill()  # nobody else would: the test that wanted it has failed
                raise
        return self

    def wait_ready(self) -> None:
        assert self.process is not None
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log()}")
            try:
                with urllib.request.urlopen(self.url + "/readyz", timeout=5, context=self._context()):
                    return
            except (OSError, TimeoutError):  # nobody listens yet, or there is no authority to trust yet
                time.sleep(0.02)
        raise AssertionError(f"the server is not ready after {START_SECONDS} s:\n{self.log()}")

    def kill(self) -> None:
        """Kill -9, and wait until it is gone."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(120)

    def stop(self) -> int:
        """SIGTERM, as an init system would; kill -9 if it does not listen."""
        if self.process is None or self.process.poll() is not None:
            return self.process.returncode if self.process is not None else 0
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(120)
            raise AssertionError(f"the server ignored SIGTERM for 60 s:\n{self.log()}") from None

    def log(self) -> str:
        return self.output.read_text(errors="replace")[-8000:]

    def __enter__(self) -> "Halley":
        return self.start()

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        try:
            self.stop()
        except AssertionError:
            if failure is None:  # else the test's own failure is the one to read
                raise

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = ADMIN_KEY,
        headers: dict[str, str] | None = None,
        timeout: float = 70,
    ) -> tuple[int, dict[str, str], Any]:
        """Status, headers (lower-case names) and JSON (or bytes) of one request."""
        sent = dict(headers or {})
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        url = path if path.startswith("http") else self.url + path
        request = urllib.request.Request(url, data=data, method=method, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=self._context()) as answer:
                status, received, content = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            status, received, content = error.code, error.headers, error.read()
        names = {name.lower(): value for name, value in received.items()}
        if "json" in names.get("content-type", ""):
            return status, names, json.loads(content)
        return status, names, content

    def _context(self) -> ssl.SSLContext | None:
        if self.trusts is None and self.is_tls:
            return ssl.create_default_context(cafile=self.authority)
        return self.trusts

    def account(self, username: str) -> str:
        """A fresh key of an account."""
        status, _, made = self.call("POST", "/v1/keys", {"username": username, "name": "e2e"})
        assert status == 201, made
        return str(made["token"])
