from cog import Input


def run(old: int = Input(default=1, deprecated=True)) -> int:
    return old
