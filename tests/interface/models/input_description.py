from cog import Input


def run(text: str = Input(description="What to say", default="a")) -> str:
    return text
