"""What the fake service's models do: a list of states, of which each reading of a prediction shows the next."""

from collections.abc import Callable
from typing import Any

import msgspec


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """What one reading shows."""

    status: str
    logs: str = ""
    output: Any = None
    error: Any = None
    metrics: dict[str, Any] = {}


Script = Callable[[dict[str, Any]], list[Stage]]
"""The stages for an input; the last one stays."""


def echo(given: dict[str, Any]) -> list[Stage]:
    """Its output is the text of its input."""
    logs = f"saying {given['text']}\n"
    return [
        Stage(status="starting"),
        Stage(status="processing", logs=logs),
        Stage(status="succeeded", logs=logs, output=given["text"], metrics={"predict_time": 0.25, "image_count": 1}),
    ]


def spell(given: dict[str, Any]) -> list[Stage]:
    """An iterator of the letters of its text, each printed before."""
    letters = list(given["text"])
    shown = [
        ("".join(f"{letter}\n" for letter in letters[:count]), letters[:count]) for count in range(len(letters) + 1)
    ]
    grows = [Stage(status="processing", logs=logs, output=output or None) for logs, output in shown]
    return [*grows, Stage(status="succeeded", logs=shown[-1][0], output=letters)]


def fail(given: dict[str, Any]) -> list[Stage]:
    """It fails."""
    del given
    return [Stage(status="starting"), Stage(status="failed", error="no such luck")]


def wait(given: dict[str, Any]) -> list[Stage]:
    """It runs until it is canceled."""
    del given
    return [Stage(status="processing")]
