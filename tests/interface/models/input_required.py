from cog import Input


def run(text: str = Input(), more: str = Input(description="this too")) -> str:
    return text + more
