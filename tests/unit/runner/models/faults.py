"""Predictors that end badly, each in its own way."""

import os
import sys
import threading


def raises(text: str = "bad thing") -> str:
    print("about to fail")
    raise ValueError(text)


def silent() -> str:
    raise KeyError


def chained() -> str:
    try:
        int("x")
    except ValueError as error:
        raise RuntimeError("cannot read it") from error


def in_library() -> str:
    import json

    return json.loads("{")


def out_of_memory() -> str:
    raise MemoryError


def interrupted() -> str:
    raise KeyboardInterrupt


def leaves(how: str) -> str:
    print("leaving")
    if how == "hard":
        os._exit(9)
    return "still here"


def crashes() -> str:
    os.kill(os.getpid(), 11)
    return "unreachable"


def recovers(fail: bool) -> str:
    if fail:
        raise ValueError("first")
    return "well"
