from typing import List

from cog import Path


def run(files: List[Path]) -> List[str]:
    return [file.read_text() for file in files]
