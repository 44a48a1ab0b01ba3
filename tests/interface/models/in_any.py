from typing import Any


def run(value: Any) -> str:
    return repr(value)
