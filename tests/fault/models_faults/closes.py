"""Closes descriptors that are not its own."""

import os


def run(first: int = 0, last: int = 4096) -> str:
    os.closerange(first, last)
    print("still here")
    return "closed"
