"""The commands below `halley`, each imported and built when it is named.

Building all of them takes longer than Python's own start, and one run needs only one. So `halley --help` shows their
summaries from a table; a test compares the table with the commands.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from halley.cli.plain_help import name_values


class CommandEntry(NamedTuple):
    """The place of a command: the function or group of commands with this name in a module of `commands`."""

    module: str
    name: str
    summary: str


ENTRIES: Final = {
    "demo": CommandEntry("demo", "demo", "Serve the demo models and run a first prediction."),
    "serve": CommandEntry("serve", "serve", "Serve models through the Replicate HTTP API."),
    "run": CommandEntry("run", "run", "Run a model and show its output."),
    "ps": CommandEntry("ps", "ps", "List model processes: state, memory, device, slots (admin)."),
    "env": CommandEntry("env", "env", "Print the lines that make existing programs use a server."),
    "init": CommandEntry("init", "init", "Create a new model: run.py and cog.yaml, ready to be served."),
    "check": CommandEntry("check", "check", "Show a model's inputs, output and faults, without a server."),
    "version": CommandEntry("version", "version", "Print the version."),
    "help": CommandEntry("version", "help_", "Show the help of a command."),
    "predictions": CommandEntry("predictions", "app", "List, show, follow, save, cancel and rerun predictions."),
    "models": CommandEntry("models", "app", "See which models a server can run."),
    "files": CommandEntry("files", "app", "Upload files once and use them in many inputs."),
    "keys": CommandEntry("keys", "app", "Make, list, change and revoke API keys (admin)."),
    "webhooks": CommandEntry("webhooks", "app", "List deliveries of webhooks, resend, verify and receive them."),
    "routes": CommandEntry("routes", "app", "See which provider runs which model (admin)."),
    "upstreams": CommandEntry("upstreams", "app", "See the services elsewhere that run predictions (admin)."),
    "config": CommandEntry("config", "app", "Show and check the settings of the server."),
}


class Commands(Mapping[str, Any]):
    """The commands by name."""

    def __init__(self) -> None:
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            self._built[name] = _build(name, ENTRIES[name])
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(ENTRIES)

    def __len__(self) -> int:
        return len(ENTRIES)


def _build(name: str, entry: CommandEntry) -> Any:
    found = getattr(importlib.import_module(f"halley.cli.commands.{entry.module}"), entry.name)
    parent = typer.Typer(rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        parent.add_typer(found, name=name)
    else:
        parent.command(name)(found)
    command = typer.main.get_group(parent).commands[name]
    name_values(command)
    return command


class Root(TyperGroup):
    """The group of all commands."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = Commands()  # type: ignore[assignment]  # nothing is added to it

    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return list(ENTRIES)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands without building them."""
        stand_ins: dict[str, Any] = {
            name: TyperCommand(name=name, help=entry.summary) for name, entry in ENTRIES.items()
        }
        TyperGroup(commands=stand_ins).format_commands(ctx, formatter)
