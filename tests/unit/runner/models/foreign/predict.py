"""A model whose own files have the names of ours, and which starts processes of its own."""

import importlib.metadata
import multiprocessing
import os
import subprocess
import sys
import time

import cog
import frames
import schema
import start
from cog import BasePredictor


def triple(n):
    print("in the pool")
    return cog.current_scope().context.get("x", n * 3)


class Predictor(BasePredictor):
    def predict(self, what: str) -> str:
        return str(getattr(self, what)())

    def names(self):
        return " ".join([schema.WHO, frames.WHO, start.WHO, __name__, sys.modules["__main__"].__name__])

    def spawn(self):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.map(triple, [1, 2])

    def fork(self):
        with multiprocessing.get_context("fork").Pool(1) as pool:
            return pool.map(triple, [1, 2])

    def version(self):
        return importlib.metadata.version("cog") + " " + cog.__version__

    def program(self):
        code = "import cog, sys; print(cog.__version__, hasattr(cog.Path('x'), 'name'))"
        return subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout.decode().strip()

    def inherited(self):
        code = "import os; print(sorted(int(n) for n in os.listdir('/proc/self/fd') if int(n) > 3))"
        return (
            subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, close_fds=False)
            .stdout.decode()
            .strip()
        )

    def leave_child(self):
        pid = os.fork()
        if pid == 0:
            print("forked child speaks")
            time.sleep(3600)
        return pid

    def path_folder(self):
        return [entry for entry in sys.path if "halley/runner" in entry]
