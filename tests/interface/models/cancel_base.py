import threading

from cog import CancelationException


def run() -> str:
    assert issubclass(CancelationException, BaseException)
    print("waits")
    while True:
        try:
            threading.Event().wait(0.02)
        except Exception:
            print("never seen")
