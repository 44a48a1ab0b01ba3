import threading
from typing import Iterator


def run() -> Iterator[str]:
    yield "first"
    print("waits")
    while True:
        threading.Event().wait(0.02)
