"""The demo as a person starts it: in a terminal, which shows the link that signs in once."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from typing import Final, Self

from process import free_port

_LINK: Final = re.compile(r"(http://\S+/ui/sign-in\?code=\S+)")
_SAVED: Final = re.compile(r"succeeded|saved")
START_SECONDS: Final = 120.0


class Demo:
    """`halley demo` on a terminal of its own; ends with the block."""

    def __init__(self, home: Path, *, config: str = "", command: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.home = home
        (home / "halley.toml").write_text(config)
        self._command = [
            *(command or (sys.executable, "-m", "halley.cli.main", "demo")),
            *("--port", str(self.port), "--data", str(home / "data"), "--config", str(home / "halley.toml")),
            "--no-open",
        ]
        self.text = ""  # what the terminal showed

    def __enter__(self) -> Self:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 250, 0, 0))
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_DATA_HOME": str(self.home / "share"),
            "NO_COLOR": "1",
            "TERM": "xterm",
        }
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=self.environment, cwd=self.home
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, args=(ours,), daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(120)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(120)
        self._reader.join(10)

    def _read(self, terminal: int) -> None:
        try:
            while content := os.read(terminal, 65536):
                self.text += content.decode("utf-8", "replace").replace("\r", "")
        except OSError:
            pass  # its other end is closed
        finally:
            os.close(terminal)

    def link(self) -> str:
        """The one-time link, once the first picture is made, too."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            found = _LINK.search(self.text)
            if found and _SAVED.search(self.text[found.end() :]):
                return found[1]
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"no link was printed:\n{self.text[-3000:]}")

    def env_lines(self) -> dict[str, str]:
        """What `halley env` prints for other programs, as their environment."""
        done = subprocess.run(
            [sys.executable, "-m", "halley.cli.main", "env", "--server", self.url],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        pairs = (line.removeprefix("export ").partition("=") for line in done.stdout.splitlines() if "=" in line)
        return {name: value.strip("'\"") for name, _, value in pairs}
