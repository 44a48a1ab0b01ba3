import threading

from cog import CancelationException


class Runner:
    def setup(self):
        self.cleaned = 0

    def run(self, wait: bool = True) -> int:
        try:
            print("waits")
            while wait:
                threading.Event().wait(0.02)
        except CancelationException:
            self.cleaned += 1
            raise
        return self.cleaned
