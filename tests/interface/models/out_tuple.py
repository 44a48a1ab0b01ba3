from typing import Tuple


def run() -> Tuple[str, int]:
    return "a", 1
