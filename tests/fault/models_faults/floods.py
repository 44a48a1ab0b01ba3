"""Writes far more than anybody reads: by print, and past Python straight into descriptor 1."""

import os


def run(megabytes: int = 40) -> str:
    line = "x" * 1023 + "\n"
    for _ in range(megabytes * 512):
        print(line, end="")
    block = line.encode() * 64
    for _ in range(megabytes * 8):
        os.write(1, block)
    return "flooded"
