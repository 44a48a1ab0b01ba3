"""Searches all that a server writes and shows for words that may be in none of it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from process import Halley

PATHS: Final = (
    "/",
    "/metrics",
    "/openapi.json",
    "/healthz",
    "/readyz",
    "/v1/models",
    "/v1/predictions",
    "/v1/upstreams",
    "/v1/upstreams/unknown",
    "/v1/routes",
    "/v1/events",
    "/v1/usage",
)
COMMANDS: Final = (("config", "show", "--origin"), ("upstreams", "list"), ("upstreams", "unknown"))


class Searched:
    """What a running server has written and shows: its data folder with all freed pages, its log, what its
    administrator is shown, what commands print, all command lines, and the environments of its child processes.
    """

    def __init__(self, halley: Halley, *more_paths: str, environment: dict[str, str]) -> None:
        self._all = list(_all(halley, more_paths, environment))

    def places_with(self, *words: str) -> list[str]:
        """Where one of the words is."""
        return sorted({place for place, data in self._all if any(word.encode() in data for word in words)})

    @property
    def has_children(self) -> bool:
        """Whether the environment of a model process was searched."""
        return any(place.startswith("environment") for place, _ in self._all)


def files_with(folder: Path, words: list[str]) -> list[str]:
    """The files of a folder that have one of the words."""
    return sorted(place for place, data in _files(folder) if any(word.encode() in data for word in words))


def _all(halley: Halley, more_paths: tuple[str, ...], environment: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    yield from _files(halley.home / "data")
    yield "log", halley.output.read_bytes()
    for path in (*PATHS, *more_paths):
        yield path, _shown(halley, path)
    for command in COMMANDS:
        yield "halley " + " ".join(command), _printed(halley, command, environment)
    yield from _processes(halley)


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        with suppress(OSError):  # it has just gone, or is a socket
            if path.is_file():
                yield str(path.relative_to(folder)), path.read_bytes()


def _shown(halley: Halley, path: str) -> bytes:
    _, headers, body = halley.call("GET", path, timeout=120)
    return str(headers).encode() + (body if isinstance(body, bytes) else repr(body).encode())


def _printed(halley: Halley, words: tuple[str, ...], environment: dict[str, str]) -> bytes:
    done = subprocess.run(
        [sys.executable, "-m", "halley.cli.main", *words],
        env={"HOME": str(halley.home), "HALLEY_SERVER": halley.url, "HALLEY_TOKEN": halley.key, **environment},
        cwd=halley.home,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


def _processes(halley: Halley) -> Iterator[tuple[str, bytes]]:
    """Of all processes the command line; of those below the server the environment, too."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError, ValueError):
            yield f"command line of {folder.name}", (folder / "cmdline").read_bytes()
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    assert halley.process is not None
    for pid in parents:
        if pid != halley.process.pid and halley.process.pid in _above(pid, parents):
            with suppress(OSError):
                yield f"environment of {pid}", Path(f"/proc/{pid}/environ").read_bytes()


def _above(pid: int, parents: dict[int, int]) -> Iterator[int]:
    while (pid := parents.get(pid, 0)) > 1:
        yield pid
