from cog import Input


def run(size: int = Input(choices=[256, 512])) -> int:
    return size
