"""Which models run on both servers, with which inputs, and where the results may differ.

Beside those of this folder, all of tests/interface that are one file, as `interface.NAME`.
"""

import json
import tomllib
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from results import Result

HERE: Final = Path(__file__).parent
MODELS: Final = HERE / "models"
INTERFACE: Final = HERE.parent / "interface" / "models"


def _interface() -> dict[str, list[dict[str, Any]]]:
    """Not those that are canceled or run several at once: what these come to is a matter of time."""
    found = {}
    for file in sorted(INTERFACE.glob("*.json")):
        cases = json.loads(file.read_text())
        if file.with_suffix(".py").exists() and not any("cancel_at" in case or "together" in case for case in cases):
            found[f"interface.{file.stem}"] = [case.get("input", {}) for case in cases]
    return found


OWN: Final[dict[str, list[dict[str, Any]]]] = tomllib.loads((HERE / "cases.toml").read_text())
CASES: Final = OWN | _interface()
_SKIPS: Final[dict[str, dict[str, Any]]] = tomllib.loads((HERE / "skips.toml").read_text())
DIFFERS: Final = _SKIPS["differs"]
WORDS: Final = _SKIPS["words"]
SKIPS: Final = DIFFERS | WORDS | _SKIPS["races"]

STATEFUL: Final = frozenset(_SKIPS["stateful"])
"""Models whose results depend on the predictions before: they cannot run on one server of Cog twice."""

OLD: Final = tuple(_SKIPS["others"]["old"])
PLAIN: Final = tuple(_SKIPS["others"]["plain"])
"""Models that also run on a server of Cog 0.9, and on one of now without event streams."""

Found = list[tuple[Result, ...]]
"""For each input of a model what each of the servers made of it, Halley first."""


class Results:
    """What was found of each model. A server that failed with one model fails the tests of that model, not all."""

    def __init__(self, pool: ThreadPoolExecutor, find: Callable[[str], Found], models: Iterable[str]) -> None:
        self._found: dict[str, Future[Found]] = {model: pool.submit(find, model) for model in models}

    def __getitem__(self, model: str) -> Found:
        return self._found[model].result()


def file_of(model: str) -> Path:
    """The one file that a model is."""
    group, _, name = model.rpartition(".")
    return (INTERFACE if group else MODELS) / f"{name}.py"


def pairs_of(skip: str, results: Results) -> list[tuple[Result, Result]]:
    """The results that an exception is about."""
    model, _, number = skip.partition("#")
    found = [(ours, its) for ours, its, *_ in results[model]]
    return found[int(number) : int(number) + 1] if number else found


def compared(model: str) -> list[int]:
    """The numbers of the inputs that must give the same."""
    if model in SKIPS:
        return []
    return [number for number in range(len(CASES[model])) if f"{model}#{number}" not in SKIPS]
