"""Speaks the server's protocol behind the runner's back: to descriptors 1 and 2, and to every socket it can find."""

import json
import os
import stat
import struct
import time


def frame(**members: object) -> bytes:
    body = json.dumps(members).encode()
    return struct.pack("<I", len(body)) + body


def sockets() -> list[int]:
    return [fd for fd in map(int, os.listdir("/proc/self/fd")) if fd > 2 and is_socket(fd)]


def is_socket(fd: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False


def run(how: str = "print", other: str = "") -> str:
    if how == "print":
        forged = frame(t="done", id=other, n=1, status="failed", error="forged")
        for fd in (1, 2):
            os.write(fd, forged)
        print(forged.decode("latin-1"))
        return "mine"
    said = {
        "noise": b"\x00\xff" * 5000,
        "length": struct.pack("<I", 2**32 - 1),
        "half": struct.pack("<I", 1000) + b"{",
        "unknown": frame(t="launch", id=other),
        "wrong": frame(t="done", id=[1], status="perhaps"),
        "other": frame(t="done", id=other, n=1, status="failed", error="forged") + frame(t="ready", slots=10**9),
    }[how]
    for fd in sockets():
        os.write(fd, said)
    print("x" * 100_000)
    time.sleep(0.3)
    return "mine"
