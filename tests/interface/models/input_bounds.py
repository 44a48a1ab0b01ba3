from cog import Input


def run(number: int = Input(ge=1, le=10), part: float = Input(default=0.5, ge=0, le=1)) -> float:
    return number + part
