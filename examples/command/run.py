"""A command-line program as a model: the lines of a text file, sorted by `sort`."""

import os
import shutil
import subprocess

from cog import BaseRunner, Input, Path


class Runner(BaseRunner):
    def setup(self) -> None:
        """Fail here, once and clearly, if the program is not installed."""
        program = shutil.which("sort")
        if program is None:
            raise RuntimeError("there is no program `sort` on the PATH; install coreutils")
        self.program = program

    def run(
        self,
        document: Path = Input(description="A text file"),
        order: str = Input(
            description="How lines are compared", choices=["bytes", "numbers", "versions"], default="bytes"
        ),
        column: int = Input(description="Compare from this column on, counted from 1", default=1, ge=1, le=100),
        reverse: bool = Input(description="Largest first", default=False),
        unique: bool = Input(description="Leave out lines that compare equal", default=False),
        check: bool = Input(description="Change nothing: fail at the first line that is out of order", default=False),
    ) -> Path:
        """Sort the file; what the program complains about is in the logs."""
        result = Path("sorted.txt")  # one prediction at a time; Halley takes the file before the next begins
        command = [self.program, f"--key={column}", "--check" if check else f"--output={result}"]
        command += {"bytes": [], "numbers": ["--numeric-sort"], "versions": ["--version-sort"]}[order]
        command += ["--reverse"] if reverse else []
        command += ["--unique"] if unique else []
        # A list, not a shell's line, and "--" before what comes from outside: no name can become an option.
        execute([*command, "--", str(document)])
        return document if check else result


def execute(command: list[str]) -> None:
    """Run a program to its end.

    Raises:
        RuntimeError: it did not end well; its own words are in the logs.
    """
    print("+", " ".join(command))
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C"})
    try:
        status = process.wait()
    finally:
        process.kill()  # a canceled prediction leaves `wait` by an exception: the program ends with it
        process.wait()
    if status != 0:
        raise RuntimeError(f"{os.path.basename(command[0])} ended with exit status {status}")
