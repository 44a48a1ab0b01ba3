"""Prints while it runs, and while it cleans up after a cancel, by itself and through a child."""

import subprocess
import sys
import time

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, how: str = "") -> str:
        try:
            for i in range(4000):
                sys.stdout.write(f"step {i}\n")  # in one piece, whenever the cancel comes
                time.sleep(0.005)
        except BaseException as e:
            print("stopped by", type(e).__name__)
            raise
        finally:
            print("temporary files removed", flush=True)
            subprocess.run(["echo", "a child says bye"], check=True)
            time.sleep(0.5)
            print("second line of the clean-up", flush=True)
        return how
