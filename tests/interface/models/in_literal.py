from typing import Literal


def run(mode: Literal["fast", "good"] = "fast", level: Literal[1, 2] = 1) -> str:
    return f"{mode} {level}"
