from cog import Input


def run(text: str = Input(min_length=2, max_length=3)) -> str:
    return text
