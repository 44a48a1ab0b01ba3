"""Does not come up."""

import os
import sys
import time

from cog import BaseRunner


class Runner(BaseRunner):
    def setup(self) -> None:
        print("looking for weights")
        how = os.environ["HOW"]
        if how == "raise":
            raise FileNotFoundError("no weights here")
        if how == "exit":
            sys.exit(4)
        if how == "crash":
            time.sleep(0.2)  # what was printed at the very last moment may be lost
            os.abort()
        time.sleep(600)

    def run(self) -> str:
        return "unreachable"
