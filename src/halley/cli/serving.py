"""The server process of `halley serve`: it replaces the process of the command.

The command-line library and its imports use some 10 MB, for as long as the server runs. So the command only reads its
arguments, then `become_server` replaces the process, with the same process id, by one that never loads that library.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec

from halley.cli.failures import ExitCode, UsageProblem
from halley.cli.reporting import explain
from halley.cli.screen import Screen
from halley.cli.starting import remember_or_say, require_port, settings_from, show_banner
from halley.settings import hand_over, process_environ, take_environ
from halley.store.folder import holder_of

if TYPE_CHECKING:
    from halley.cli.starting import Started
    from halley.settings import Settings

PRIVATE_PREFIX = "halley-run-"  # of the name of a private server's data folder


class ServeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The request of the command line. `flags` are settings by their dotted names."""

    paths: list[str] = []
    config: str | None = None
    flags: dict[str, Any] = {}
    reload: bool = False
    private: bool = False
    handed_over: int | None = None  # descriptor with the secrets of the environment; see settings.process


# When blocks of many megabytes are freed, the C library raises its threshold and keeps such memory: the memory of large
# bodies would not be returned to the system, and would fill with small blocks. Source: mallopt(3), M_MMAP_THRESHOLD.
_OWN_MAPPING_BYTES: Final = str(2**20)
_decode: Final = msgspec.json.Decoder(ServeRequest).decode


def become_server(request: ServeRequest) -> NoReturn:
    """Replace this process by the server's; it does not return."""
    arguments, environ, _ = server_command(request, take_environ())
    os.execve(arguments[0], arguments, environ)  # noqa: S606 - our own interpreter and module


def server_command(request: ServeRequest, environ: Mapping[str, str]) -> tuple[list[str], dict[str, str], int | None]:
    """Return the server's command line, its environment, and the descriptor with the secrets that it must inherit."""
    environ, memory = hand_over(environ)
    environ = {"MALLOC_MMAP_THRESHOLD_": _OWN_MAPPING_BYTES, **environ}
    request = msgspec.structs.replace(request, handed_over=memory)
    # -P: modules such as a `json.py` in the working directory are not ours
    arguments = [sys.executable, "-P", "-m", "halley.cli.start", "serving", msgspec.json.encode(request).decode()]
    return arguments, environ, memory


def main() -> None:
    """Serve as the one argument requests, and end the process with its exit code."""
    request = _decode(sys.argv[1])
    environ = take_environ(request.handed_over)
    try:
        code = serve(request, environ)
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - last resort: no error may end as a traceback
        code = explain(error, Screen())
    sys.exit(code)


def serve(request: ServeRequest, environ: Mapping[str, str] | None = None) -> int:
    """Check what can be checked before anything is opened, then serve until a signal.

    Raises:
        UsageProblem: a path, the port or the data folder cannot be used; the message says which.
        SettingsError: a setting is unknown or invalid.
    """
    from halley.app import ServeOptions, run_server

    environ = process_environ() if environ is None else environ
    config = Path(request.config) if request.config is not None else None
    flags = request.flags | (_private_flags(config, environ) if request.private else {})
    if request.private:
        _end_with_stdin()
    settings = settings_from(config, flags, environ)
    paths = [Path(path) for path in request.paths]
    _check(settings, paths)
    if request.private:
        return _serve_privately(settings, paths, environ)
    screen = Screen()

    def announce(started: Started) -> None:
        token = remember_or_say(screen, settings, started)
        show_banner(screen, settings, started, token=token, hint=settings.demo)

    options = ServeOptions(
        environ=environ,
        paths=paths,
        demo=settings.demo,
        reload=request.reload,
        reread=lambda: settings_from(config, flags, environ),
    )
    return run_server(settings, options, announce=announce)


def _check(settings: Settings, paths: list[Path]) -> None:
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise UsageProblem(f"There is no model at {', '.join(missing)}.", hint="`halley init FOLDER` creates one.")
    holder = holder_of(settings.data)
    if holder is not None:
        where = f"at {holder.url}" if holder.url else "which is just starting"
        raise UsageProblem(
            f"A Halley server is already using {settings.data}: process {holder.pid}, {where}.",
            hint="Use it, stop it, or choose another folder with --data.",
        )
    require_port(settings.server.host, settings.server.port)


def _private_flags(config: Path | None, environ: Mapping[str, str]) -> dict[str, Any]:
    kept = settings_from(config, {}, environ)  # environments stay after the command: the next one finds them
    folder = kept.environments.folder or kept.data / "envs"
    plain = {"tls.local": False, "tls.cert": "none", "tls.key": "none"}
    setups = kept.isolation.folder or kept.data / "setup"
    return {
        "environments.folder": folder,
        "isolation.folder": setups,
        "server.host": "127.0.0.1",
        "server.port": 0,
        "demo": False,
        **plain,
    }


def _serve_privately(settings: Settings, paths: list[Path], environ: Mapping[str, str]) -> int:
    # for `halley run ./folder`: it reads one line of JSON from here, and informs the user itself
    import logging
    import shutil

    from halley.app import ServeOptions, run_server
    from halley.errors import HalleyError

    say = Screen(json_only=True).out_json

    def announce(started: Started) -> None:
        say({"url": started.url, "models": list(started.models), "faults": list(started.broken.values())})

    logging.getLogger("halley").setLevel(logging.CRITICAL)
    logging.getLogger("halley.replicas.environments").setLevel(logging.INFO)  # it takes long: report its progress
    try:
        options = ServeOptions(environ=environ, paths=paths, demo=False, waits_for_models=True)
        return run_server(settings, options, announce=announce)
    except HalleyError as error:
        say({"fault": str(error)})
        return ExitCode.USAGE
    finally:
        if settings.data.name.startswith(PRIVATE_PREFIX):  # never a user's data, however the server was started
            shutil.rmtree(settings.data, ignore_errors=True)


def _end_with_stdin() -> None:
    # The starting command holds our stdin; when it dies, even by SIGKILL, stdin ends and so does the server.
    import os
    import signal
    import threading

    def wait() -> None:
        while os.read(0, 4096):  # below Python's own stdin, whose lock must be free when the interpreter ends
            pass
        for name in (signal.SIGTERM, signal.SIGINT):  # two signals: no client is left to wait for running predictions
            os.kill(os.getpid(), name)

    threading.Thread(target=wait, name="stdin", daemon=True).start()


if __name__ == "__main__":
    main()
