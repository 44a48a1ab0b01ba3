from cog import Input


def run(seed: int = Input(default=None), text: str = None) -> str:
    return f"{seed} {text}"
