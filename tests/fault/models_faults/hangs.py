"""Never comes back: in Python, in one call of C that keeps the interpreter's lock, or ignoring every cancel."""

import itertools
import time
from collections import deque


def run(how: str = "python") -> str:
    print("hanging", flush=True)
    if how == "c":
        try:
            time.sleep(0.2)  # the line is on its way before the lock is taken
        except BaseException:
            pass
        deque(itertools.repeat(None), maxlen=0)
    while True:
        try:
            while how != "stubborn":
                pass
            time.sleep(60)
        except BaseException:
            if how != "stubborn":
                raise
