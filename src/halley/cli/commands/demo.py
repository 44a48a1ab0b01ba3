"""`halley demo`: starts a server and makes a first picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from halley.cli.options import ConfigOption, DataOption, HostOption, PortOption, TlsOption
from halley.cli.screen import Screen

if TYPE_CHECKING:
    from halley.cli.starting import Started
    from halley.cli.target import ServerTarget
    from halley.settings import Settings

_PROMPT: Final = "green hills under a morning sun"


def demo(
    host: HostOption = None,
    port: PortOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Where the first picture is saved (default: in the data folder)."
        ),
    ] = None,
    tls: TlsOption = None,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Show the picture in a browser.")] = True,
) -> int:
    """Serve the demo models and run a first prediction.

    \b
    Examples:
      halley demo -o hills.png
    """
    from halley.app import ServeOptions, run_server
    from halley.cli.placing import check_place, read_place
    from halley.cli.starting import free_port, require_port, running_url, settings_from
    from halley.settings import take_environ

    screen = Screen()
    place = read_place(output, "-o")
    check_place(place, is_folder=False)
    environ = take_environ()
    # without a log line for each request
    flags = {"server.host": host, "server.port": port, "data": data, "demo": True, "server.access_log": False}
    flags["tls.local"] = tls
    settings = settings_from(config, flags, environ)
    running = running_url(settings.data)
    if running is not None:
        screen.note(f"Halley is already using {settings.data}:")
        screen.out(running)
        if running.startswith("http"):
            screen.note(f"  Dashboard   {running}/ui  (sign in with the token that `halley env` prints)")
        return 0
    if port is None:
        free = free_port(settings.server.host, settings.server.port)
        if free != settings.server.port:
            screen.note(f"Port {settings.server.port} is taken; using {free}.")
            settings = settings_from(config, flags | {"server.port": free}, environ)
    else:
        require_port(settings.server.host, port)

    picture = place or settings.data / "first-picture.png"

    def announce(started: Started) -> None:
        _announce(screen, settings, started, picture, browser=browser)

    return run_server(settings, ServeOptions(environ=environ), announce=announce)


def _announce(screen: Screen, settings: Settings, started: Started, picture: Path, *, browser: bool) -> None:
    """Show where the server listens, and run the first prediction while it serves."""
    import threading

    from halley.cli.starting import local_target, remember_or_say, show_banner

    token = remember_or_say(screen, settings, started)
    show_banner(screen, settings, started, token=token)
    threading.Thread(
        target=_first_prediction,
        args=(screen, local_target(started, token), picture),
        kwargs={"browser": browser},
        daemon=True,
    ).start()


def _first_prediction(screen: Screen, target: ServerTarget, output: Path, *, browser: bool) -> None:
    from halley.cli.client import Client
    from halley.cli.failures import CommandError
    from halley.cli.model_ref import ModelRef
    from halley.cli.results import report_end, write_output
    from halley.cli.waiting import wait_for

    if target.token is None:
        screen.note(
            "  No key for this data folder is stored on this machine, so no first prediction is run. Give it with"
            " HALLEY_ADMIN_KEY, or start with another --data."
        )
        return
    try:
        with Client(target) as client:
            created = client.create(
                ModelRef(owner="demo", name="paint"),
                {"prompt": _PROMPT, "output_format": "png"},
                idempotency_key=f"demo-{target.root}-{output.resolve()}-{client.timing.monotonic()}",
            )
            page = (created.get("urls") or {}).get("web") or f"{target.root}/p/{created['id']}"
            screen.note(f"  First prediction {created['id']}  {page}")
            final, _ = wait_for(client, screen, created["id"], created=created, logs=False, cancel_on_interrupt=False)
            if final["status"] == "succeeded":
                write_output(client, screen, final, output)
            report_end(screen, final)
    except (CommandError, OSError) as error:
        screen.error(f"the first prediction could not be run: {error}", getattr(error, "hint", ""))
        return
    if browser and screen.out_is_terminal and screen.err_is_terminal:
        import webbrowser

        webbrowser.open(page)
