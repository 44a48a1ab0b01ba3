from typing import TypedDict


class Size(TypedDict):
    width: int


def run() -> Size:
    return {"width": 1}
