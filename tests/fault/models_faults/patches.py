"""Replaces what the whole process stands on."""

import io
import json
import os
import signal
import socket
import struct
import sys
import threading
import time


def broken(*_: object, **__: object) -> None:
    raise RuntimeError("patched away")


def run(what: str = "os") -> str:
    print("patching")
    if what == "os":
        for name in ("read", "write", "_exit", "getpid", "open", "close", "stat", "path"):
            setattr(os, name, broken)
    elif what == "library":
        json.dumps = json.loads = json.JSONEncoder.encode = broken
        time.perf_counter = time.monotonic = broken
        threading.get_ident = broken
        struct.pack = broken
    elif what == "streams":
        sys.stdout = sys.stderr = io.StringIO()
        sys.__stdout__ = sys.__stderr__ = None
    elif what == "signals":
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        while True:
            time.sleep(60)
    elif what == "sockets":
        socket.socket.send = socket.socket.recv = socket.socket.sendall = broken
    return "patched"
