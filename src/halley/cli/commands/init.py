"""`halley init`: creates a new model."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, Final

import typer

from halley.cli.failures import UsageProblem
from halley.cli.screen import Screen

_RUN: Final = '''\
from cog import BaseRunner, Input


class Runner(BaseRunner):
    def setup(self) -> None:
        """Runs once, before the first prediction: load weights here."""
        self.greeting = "Hello"

    def run(
        self,
        name: str = Input(description="Who is greeted"),
        times: int = Input(default=1, ge=1, le=10, description="How often"),
    ) -> str:
        """Runs for each prediction."""
        return " ".join([f"{self.greeting}, {name}!"] * times)
'''
_COG: Final = """\
# What runs, and in which environment. Cog itself reads this file, too.
build:
  python_version: "3.11"
  # python_requirements: requirements.txt
run: "run.py:Runner"
"""


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The folder for the new model; its name becomes the model's name.")
    ],
) -> None:
    """Create a new model: run.py and cog.yaml, ready to be served.

    \b
    Examples:
      halley init greeter
    """
    files = {"run.py": _RUN, "cog.yaml": _COG}
    name = folder.resolve().name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UsageProblem(f"{name!r} is not a valid name for a model.", hint="Use letters, digits, dots, - and _.")
    if folder.exists() and not folder.is_dir():
        raise UsageProblem(f"{folder} is a file, not a folder.", hint="Choose another folder.")
    there = [file for file in files if (folder / file).exists()]
    if there:
        raise UsageProblem(
            f"{folder} already has {', '.join(there)}; nothing was written.", hint="Choose another folder."
        )
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")
    screen = Screen()
    screen.note(f"Made {folder / 'run.py'} and {folder / 'cog.yaml'}. Next:")
    named = shlex.quote(str(folder) if folder.is_absolute() or folder == Path() else f"./{folder}")
    screen.note(f"  halley check {named}")
    screen.note(f"  halley run {named} name=Edmond")
    screen.note(f"  halley serve {named} --reload")
