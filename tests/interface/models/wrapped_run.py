import functools


def loud(function):
    @functools.wraps(function)
    def call(*args, **kwargs):
        print("calls", function.__name__)
        return function(*args, **kwargs)

    return call


class Runner:
    @loud
    def run(self, text: str = "a") -> str:
        return text
