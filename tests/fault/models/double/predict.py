"""Reads a large file block by block and writes another of the same size."""

import tempfile

from cog import Path

BLOCK_BYTES = 2**20


def run(given: Path) -> Path:
    with tempfile.NamedTemporaryFile(suffix=".bin", delete=False) as made, given.open("rb") as source:
        made.write(source.read(1).swapcase())
        while block := source.read(BLOCK_BYTES):
            made.write(block)
    return Path(made.name)
