from cog import Input


def run(
    word: str = Input(default="abc", regex=r"^(?!admin)[a-z]+\Z"),
    twice: str = Input(default="", regex=r"^(?:(.+)\1)?$"),
) -> str:
    return f"{word} {twice}"
