from typing import TypedDict


class Size(TypedDict):
    width: int
    height: int


def run(size: Size) -> int:
    return size["width"] * size["height"]
