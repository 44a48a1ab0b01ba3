import tempfile
from typing import List

from cog import Path


def run(count: int = 2) -> List[Path]:
    folder = Path(tempfile.mkdtemp())
    for number in range(count):
        (folder / f"{number}.txt").write_text(f"file {number}")
    return [folder / f"{number}.txt" for number in range(count)]
