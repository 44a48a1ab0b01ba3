"""Finds the installed Python interpreters; nothing is downloaded."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from halley.settings import without_secrets

PROBE_SECONDS: Final = 20.0
_PROBE: Final = "import sys; print('%d.%d.%d' % sys.version_info[:3], sys.implementation.name, sys.base_prefix)"


OLDEST: Final = (3, 8)  # the oldest that can run the runner


class Interpreter(msgspec.Struct, frozen=True, kw_only=True):
    """A Python that runs. `version` is `3.11.7`; `home` is its installation folder, the same for all its
    environments.
    """

    path: str
    version: str
    implementation: str
    home: str

    @property
    def minor(self) -> str:
        """`3.11`."""
        return ".".join(self.version.split(".")[:2])


def is_too_old(version: str) -> bool:
    """Whether a Python of this version, such as `3.7` or `3.7.16`, cannot run our runner."""
    return tuple(int(part) for part in version.split(".")[:2]) < OLDEST


def server_interpreter() -> Interpreter:
    """The interpreter that runs this server."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Interpreter(
        path=sys.executable, version=version, implementation=sys.implementation.name, home=sys.base_prefix
    )


class Interpreters:
    """Finds interpreters by version on the PATH of `environ`; runs each once. Blocks."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._known: dict[str, Interpreter | None] = {}

    def find(self, version: str) -> Interpreter | None:
        """The interpreter of a `3.11` or `3.11.7` (then any of the same minor version), or None."""
        minor = ".".join(version.split(".")[:2])
        own = server_interpreter()
        if own.minor == minor:
            return own
        for path in self._candidates(minor):
            found = self._probed(path)
            if found is not None and found.minor == minor:
                return found
        return None

    def _candidates(self, minor: str) -> Iterator[str]:
        search = self._environ.get("PATH", os.defpath)
        for folder in search.split(os.pathsep):
            path = Path(folder, f"python{minor}")
            # not the caller's working directory: modules there are not installed
            if path.is_absolute() and path.is_file() and os.access(path, os.X_OK):
                yield str(path)
        uv = shutil.which("uv", path=search)
        if uv is not None:
            found = self._said([uv, "python", "find", "--no-python-downloads", "--no-project", minor])
            if found:
                yield found

    def _probed(self, path: str) -> Interpreter | None:
        if path not in self._known:
            # a version switcher has a shim for every version, installed or not: only running it shows
            words = self._said([path, "-I", "-c", _PROBE]).split(maxsplit=2)
            self._known[path] = (
                Interpreter(path=path, version=words[0], implementation=words[1], home=words[2])
                if len(words) == 3
                else None
            )
        return self._known[path]

    def _said(self, command: list[str]) -> str:
        try:
            done = subprocess.run(
                command,
                env=without_secrets(self._environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=True,
                timeout=PROBE_SECONDS,
            )
        except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
            return ""
        return done.stdout.strip()
