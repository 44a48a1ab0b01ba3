"""Starts processes that are meant to outlive it, in every way that a shell script knows, and then leaves."""

import os
import subprocess
import sys


def run(marker: str, leave: bool = False, clean: bool = False) -> int:
    """`marker` is an argument of each child; `clean` gives them an empty environment."""
    command = [sys.executable, "-S", "-E", "-c", "import time; time.sleep(600)", marker]
    environment = {} if clean else None
    subprocess.Popen(command, env=environment)
    subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
    first = os.fork()
    if first == 0:  # a daemon: its parent goes at once
        os.setsid()
        if os.fork() == 0:
            os.execve(command[0], command, environment if clean else dict(os.environ))
        os._exit(0)
    os.waitpid(first, 0)
    if leave:
        os._exit(5)
    return 3
