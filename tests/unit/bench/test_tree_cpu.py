"""The CPU time of a server holds that of its children, the ended ones too."""

import subprocess
import sys

from machine import cpu_seconds, family, tree_cpu_seconds

BURN = "import time\nwhile time.process_time() < {}: pass\n"
# One child ends and is waited for; the other lives on below a child of its own.
PARENT = """
import subprocess, sys
subprocess.run([sys.executable, "-S", "-c", {short!r}], check=True)
middle = "import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', sys.argv[1]], stdin=sys.stdin)"
subprocess.run([sys.executable, "-S", "-c", middle, {long!r}])
"""


def test_children_count_whether_they_live_or_have_ended() -> None:
    long = BURN.format(0.2) + "print('burnt', flush=True)\ninput()\n"
    program = PARENT.format(short=BURN.format(0.2), long=long)
    command = [sys.executable, "-S", "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"burnt\n"
        whole, living = tree_cpu_seconds(process), cpu_seconds(family(process))
        assert len(family(process)) == 3
        assert process.stdin is not None
        process.stdin.write(b"\n")
    assert whole >= 0.38  # two ticks of 10 ms may be missing
    assert whole - living >= 0.18


def test_a_process_that_is_gone_has_used_nothing_since() -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    assert tree_cpu_seconds(process) == 0
