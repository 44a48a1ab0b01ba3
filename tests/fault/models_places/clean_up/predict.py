"""Cleans up after itself with a program of its own."""

import os
import subprocess

from cog import BaseRunner

from downloading import linger


class Runner(BaseRunner):
    def run(self, prompt: str) -> str:
        try:
            with open("step.txt", "w") as file:
                file.write(prompt)
            linger()
            with open("step.txt") as file:
                return file.read()
        finally:
            os.unlink("step.txt")
            subprocess.run(["echo", "a child says bye"], check=True)
