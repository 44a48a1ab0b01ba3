import os
import subprocess
import time

from cog import BasePredictor

CACHE = "model-cache"


def download_weights(url, dest):
    start = time.time()
    print("downloading url: ", url)
    subprocess.check_call(["no-such-pget", "-x", url, dest], close_fds=False)
    print("downloading took: ", time.time() - start)


class Predictor(BasePredictor):
    def setup(self):
        if not os.path.exists(CACHE):
            download_weights("https://example.invalid/weights.tar", CACHE)

    def predict(self, text: str) -> str:
        return text
