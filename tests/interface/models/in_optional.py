from typing import List, Optional

from cog import Input, Path


def run(
    text: Optional[str],
    number: "int | None" = None,
    words: Optional[List[str]] = Input(default=None),
    file: Optional[Path] = None,
) -> str:
    return repr((text, number, words, file))
