"""Help that names the values of options and arguments by words, as the manual does: `--tag TAG`, not `--tag <str>`."""

from __future__ import annotations

from typing import Any


def name_values(command: Any) -> None:
    """Give each option and argument of a command, and of those below it, the word that its help shows."""
    for param in command.params:
        if param.param_type_name == "argument":
            _name_argument(param)
        elif not param.is_flag and param.metavar is None:
            param.metavar = param.name.upper()
    for one in getattr(command, "commands", {}).values():
        name_values(one)


def _name_argument(param: Any) -> None:
    """`NAME`, `[NAME]` if it may be left out, and dots if it may be given several times."""
    name = param.metavar or param.name.upper()
    if not param.required and not name.startswith("["):
        name = f"[{name}]"
    if param.nargs != 1 and not name.endswith("..."):
        name = f"{name}..."
    param.metavar = name
    # the library would write {NAME} and add the type of the value
    param.get_usage_pieces = lambda ctx: [name]  # noqa: ARG005
    param.display_type_rich = lambda ctx: None  # noqa: ARG005
