"""How public models fetch weights in `setup()`: only if the file is not there yet."""

import os
import time
import urllib.request


def fetch(name, folder):
    """The path of the file, downloaded unless an earlier setup left it."""
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        with urllib.request.urlopen(os.environ["WEIGHTS_URL"] + "/" + name) as answer:
            content = answer.read()
        with open(path, "wb") as file:
            file.write(content)
    with open(path, "rb") as file:
        assert file.read(7) == b"weights", "a weight file is damaged"
    return path


def linger():
    """Give a neighbour the time to write the same name."""
    time.sleep(0.02)
