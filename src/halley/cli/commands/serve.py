"""`halley serve`: the server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from halley.cli.failures import ExitCode
from halley.cli.options import ConfigOption, DataOption, EnvOption, HostOption, PortOption, StrictPythonOption
from halley.cli.screen import Screen

if TYPE_CHECKING:
    from halley.cli.starting import Started
    from halley.settings import Settings


def serve(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...", help="Model folders or files.")] = None,
    host: HostOption = None,
    port: PortOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
    reload: Annotated[bool, typer.Option("--reload", help="Load a model anew when its files change.")] = False,
    demo: Annotated[bool | None, typer.Option("--demo/--no-demo", help="With or without the demo models.")] = None,
    env: EnvOption = None,
    strict_python: StrictPythonOption = None,
    private: Annotated[bool, typer.Option("--private", hidden=True)] = False,
) -> int:
    """Serve models behind the Replicate HTTP API.

    \b
    Examples:
      halley serve ./my-model --reload
      halley serve --host 0.0.0.0 --port 8080 --no-demo
    """
    from halley.app import run_server
    from halley.cli.failures import UsageProblem
    from halley.cli.starting import (
        remember_or_say,
        require_port,
        settings_from,
        show_banner,
    )
    from halley.store.folder import holder_of

    screen = Screen()
    flags = {"server.host": host, "server.port": port, "data": data, "demo": demo}
    flags |= {"environments.env": env, "environments.strict_python": strict_python}
    if private:
        kept = settings_from(config, {})  # environments outlive the command: the next one finds them
        flags["environments.folder"] = kept.environments.folder or kept.data / "envs"
        flags |= {"server.host": "127.0.0.1", "server.port": 0, "demo": False}
        _end_with_stdin()
    settings = settings_from(config, flags)
    missing = [str(path) for path in paths or [] if not path.exists()]
    if missing:
        raise UsageProblem(f"There is no model at {', '.join(missing)}.", hint="`halley init FOLDER` begins one.")
    holder = holder_of(settings.data)
    if holder is not None:
        where = f"at {holder.url}" if holder.url else "which is just starting"
        raise UsageProblem(
            f"A Halley server already runs on {settings.data}: process {holder.pid}, {where}.",
            hint="Use it, stop it, or name another folder with --data.",
        )
    require_port(settings.server.host, settings.server.port)

    def announce(started: Started) -> None:
        show_banner(screen, settings, started, hint=settings.demo)
        remember_or_say(screen, settings, started)

    if private:
        return _serve_privately(settings, paths or [])
    return run_server(settings, paths=paths or [], demo=settings.demo, reload=reload, announce=announce)


def _serve_privately(settings: Settings, paths: list[Path]) -> int:
    # For `halley run ./folder`: it hears of us by one line of JSON, and tells the user what there is to tell.
    import logging
    import shutil

    from halley.app import run_server
    from halley.cli.private import PREFIX
    from halley.errors import HalleyError

    say = Screen(json_only=True).out_json

    def announce(started: Started) -> None:
        say({"url": started.url, "models": list(started.models), "faults": list(started.faults.values())})

    logging.getLogger("halley").setLevel(logging.CRITICAL)
    logging.getLogger("halley.replicas.environments").setLevel(logging.INFO)  # it takes long: say what is going on
    try:
        return run_server(settings, paths=paths, demo=False, announce=announce, patiently=True)
    except HalleyError as error:
        say({"fault": str(error)})
        return ExitCode.USAGE
    finally:
        if settings.data.name.startswith(PREFIX):  # never somebody's data, however we were started
            shutil.rmtree(settings.data, ignore_errors=True)


def _end_with_stdin() -> None:
    # The command that wants us holds our stdin; when it dies, even by SIGKILL, stdin ends and so do we.
    import os
    import signal
    import threading

    def wait() -> None:
        while os.read(0, 4096):  # below Python's own stdin, whose lock must be free when the interpreter ends
            pass
        for name in (signal.SIGTERM, signal.SIGINT):  # two: nobody is left who would wait for what runs
            os.kill(os.getpid(), name)

    threading.Thread(target=wait, name="stdin", daemon=True).start()
