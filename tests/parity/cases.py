"""Which models run on both servers, with which inputs, and where the results may differ."""

import tomllib
from pathlib import Path
from typing import Any, Final

from results import Result

HERE: Final = Path(__file__).parent
MODELS: Final = HERE / "models"
CASES: Final[dict[str, list[dict[str, Any]]]] = tomllib.loads((HERE / "cases.toml").read_text())
_SKIPS: Final[dict[str, dict[str, str]]] = tomllib.loads((HERE / "skips.toml").read_text())
DIFFERS: Final = _SKIPS["differs"]
SKIPS: Final = DIFFERS | _SKIPS["races"]

Results = dict[str, list[tuple[Result, Result]]]
"""For each model and each of its inputs: what Halley made of it, and what Cog did."""


def compared(model: str) -> list[int]:
    """The numbers of the inputs that must give the same."""
    if model in SKIPS:
        return []
    return [number for number in range(len(CASES[model])) if f"{model}#{number}" not in SKIPS]
