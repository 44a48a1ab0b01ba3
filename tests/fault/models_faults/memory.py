"""Takes memory until somebody stops it, itself or through a child."""

import subprocess
import sys
import time

GREEDY = """
import time
taken = []
for _ in range(100):
    taken.append(bytearray(b"1") * 10_000_000)
    time.sleep(0.02)
time.sleep(60)
"""


def run(through_child: bool = False) -> str:
    if through_child:
        subprocess.run([sys.executable, "-c", GREEDY], check=False)
        return "nobody stopped it"
    taken = []
    for number in range(100):
        taken.append(bytearray(b"1") * 10_000_000)
        print(f"{number} taken")
        time.sleep(0.02)
    time.sleep(60)
    return f"{len(taken)}: nobody stopped it"
