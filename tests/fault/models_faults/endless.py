"""Yields for ever."""

from collections.abc import Iterator


def run() -> Iterator[str]:
    while True:
        yield "again"
