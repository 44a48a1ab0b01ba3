"""Forks in setup and in predict, and lets the child run on into us."""

import os
import time

from cog import BaseRunner


class Runner(BaseRunner):
    def setup(self) -> None:
        self.parent = os.getpid()
        if os.fork() == 0:  # one that stays
            time.sleep(600)
        if os.fork() == 0:  # one that would say `ready`, too
            return

    def run(self, how: str = "fine") -> str:
        if how == "fork" and os.fork() == 0:
            return "I am the child"
        if how == "raise" and os.fork() == 0:
            raise ValueError("I am the child")
        return "parent" if os.getpid() == self.parent else "child"
