"""The demo models: plain Cog-style folders that run offline, on a CPU, with code and weights of our own.

Nothing here imports them: they are loaded like any user's model, each in its own replica.
"""

from pathlib import Path
from typing import Final

DEMO_FOLDER: Final[Path] = Path(__file__).resolve().parent
"""The folder that holds one folder per demo model; `demo/paint` is `DEMO_FOLDER / "paint"`."""

__all__ = ["DEMO_FOLDER"]
