"""Returns a file where its annotation says text."""

from cog import Path


def run(text: str) -> str:
    out = Path("out.txt")
    out.write_text(text)
    return out
