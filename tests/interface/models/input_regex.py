from cog import Input


def run(text: str = Input(regex="^[a-z]+$")) -> str:
    return text
