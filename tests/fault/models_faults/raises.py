"""Raises, in predict itself and below it."""


class Trouble(Exception):
    def __str__(self) -> str:
        raise RuntimeError("even its text fails")


def run(how: str = "plain") -> str:
    if how == "plain":
        raise ValueError("the picture is upside down")
    if how == "deep":
        return run("deep")
    if how == "unprintable":
        raise Trouble
    raise KeyboardInterrupt
