from cog import Input


def run(text: str = Input(default="a"), number: int = Input(default=3)) -> str:
    return text * number
