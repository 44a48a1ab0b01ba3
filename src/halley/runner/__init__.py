"""The child side of a replica: what runs inside a model's own interpreter.

Nothing here is imported by the server except the two names below. `start.py` is executed as a script by
the model's Python (3.8 or newer, standard library only), finds the private package `_halley_runner` beside
it, and puts the directory `path/`, which holds only our own `cog` package, on the model's import path.
"""

from pathlib import Path
from typing import Final

__all__ = ["PROTOCOL_VERSION", "START"]

PROTOCOL_VERSION: Final = 1
"""What the child's `hello` must carry as `v`."""

START: Final = Path(__file__).with_name("start.py")
"""The script to hand to a model's interpreter."""
