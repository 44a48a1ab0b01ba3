"""Says much in every way there is, and is gone in the same instant."""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading


def run(how: str, lines: int = 1) -> str:
    for number in range(lines):
        print(f"printed {number}")
    sys.stderr.write("to standard error\n")
    logging.getLogger("model").warning("logged")
    sys.stdout.buffer.write("in bytes é\n".encode())
    thread = threading.Thread(target=print, args=("from a thread",))
    thread.start()
    thread.join()
    subprocess.run(["echo", "from a program"], check=True)
    os.write(1, "to descriptor 1\n".encode())
    os.write(2, b"to descriptor 2\n")
    print("without an end", end="")
    if how == "exit":
        os._exit(9)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "abort":
        os.abort()
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"
