"""Output of a command: data on stdout, everything else on stderr; colour, bars and questions only on a terminal."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final, TextIO

BAR_CELLS: Final = 30
_COLORS: Final = {"succeeded": "32", "failed": "31", "canceled": "33", "aborted": "33", "error": "31", "dim": "2"}
_MARKS: Final = {"succeeded": "✓", "failed": "✗", "canceled": "■", "aborted": "■", "processing": "▶", "starting": "…"}
_CONTROLS: Final = {code: None for code in range(32) if code not in (9, 10)} | dict.fromkeys(range(127, 160))


class Screen:
    """The two output streams of one command, and what they can display."""

    def __init__(
        self,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        json_only: bool = False,
    ) -> None:
        self._stdout = stdout or sys.stdout or _nowhere()
        self._stderr = stderr or sys.stderr or _nowhere()
        for stream in (self._stdout, self._stderr):
            take_any_text(stream)
        if environ is None:
            from halley.settings import process_environ  # half of what --help would load

            environ = process_environ()
        plain = bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb" or bool(environ.get("CI"))
        self.json_only = json_only
        self.out_is_terminal = self._stdout.isatty()
        self.err_is_terminal = self._stderr.isatty()
        self._color_out = self.out_is_terminal and not plain
        self._color_err = self.err_is_terminal and not plain
        self._live = self.err_is_terminal and not plain
        self._status_shown = False

    @property
    def wants_json(self) -> bool:
        """Whether a prediction is printed as its whole JSON: requested, or read by a program."""
        return self.json_only or not self.out_is_terminal

    def out(self, text: str = "", *, end: str = "\n") -> None:
        """Write data as text."""
        self.clear_status()
        self._stdout.write((clean(text) if self.out_is_terminal else text) + end)
        self._stdout.flush()

    def out_bytes(self, data: bytes) -> None:
        """Write data that may not be text."""
        self.clear_status()
        self._stdout.flush()
        binary = getattr(self._stdout, "buffer", None)
        if binary is None:
            self._stdout.write(data.decode("utf-8", "replace"))
        else:
            binary.write(data)
            binary.flush()

    def out_json(self, value: Any) -> None:
        """Write one JSON document."""
        self.out(json.dumps(value, indent=2 if self.out_is_terminal else None, ensure_ascii=False))

    def note(self, text: str = "") -> None:
        """Write a message that is not data."""
        self.clear_status()
        self._stderr.write(clean(text) + "\n")
        self._stderr.flush()

    def error(self, message: str, hint: str = "") -> None:
        """Write an error message, and what to do."""
        label = self._paint("error:", "error", on=self._color_err)
        self.clear_status()
        self._stderr.write(f"{label} {clean(message)}\n" + (f"  {clean(hint)}\n" if hint else ""))
        self._stderr.flush()

    def confirm(self, question: str, *, warning: str) -> None:
        """Ask for confirmation before something that cannot be undone.

        Raises:
            UsageProblem: stdin is not a terminal, so no person can answer.
            typer.Abort: the answer is no.
        """
        if not (sys.stdin.isatty() and self.err_is_terminal):
            from halley.cli.failures import UsageProblem

            raise UsageProblem(warning, hint="Pass --yes to confirm without a prompt.")
        import typer

        typer.confirm(question, abort=True, err=True)

    def status(self, text: str) -> None:
        """Show a line that the next one replaces; nothing if stderr is not a terminal."""
        if self._live:
            width = max(20, shutil.get_terminal_size().columns - 1)
            self._stderr.write(f"\r\x1b[2K{clean(text)[:width]}")
            self._stderr.flush()
            self._status_shown = True

    def bar(self, words: str, done: int, total: int) -> None:
        """Show a progress line with a bar."""
        if self._live:
            from rich.console import Console  # imported late: it takes longer than most commands
            from rich.progress_bar import ProgressBar

            figures = f" {done}/{total}"
            width = min(BAR_CELLS, max(5, shutil.get_terminal_size().columns - 2 - len(words) - len(figures)))
            console = Console(file=self._stderr, force_terminal=True, color_system="standard", width=width)
            with console.capture() as drawn:
                console.print(ProgressBar(total=total, completed=min(done, total), width=width), end="")
            self._stderr.write(f"\r\x1b[2K{clean(words)} {drawn.get().rstrip(chr(10))}{figures}")
            self._stderr.flush()
            self._status_shown = True

    def clear_status(self) -> None:
        """Remove the progress line before other output."""
        if self._status_shown:
            self._stderr.write("\r\x1b[2K")
            self._stderr.flush()
            self._status_shown = False

    def table(self, titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Write aligned columns; the status column gets a symbol before its text."""
        cells = [list(titles), *([clean(cell) for cell in row] for row in rows)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(titles))]
        for row in cells:
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            word = next((cell.split()[-1] for cell in row if cell and cell.split()[-1] in _MARKS), "")
            self._stdout.write(self._paint(line, word, on=self._color_out) + "\n")
        self._stdout.flush()

    def mark(self, status: str) -> str:
        """Put the symbol of a status before its text, if the terminal can show it."""
        encoding = (getattr(self._stdout, "encoding", None) or "ascii").lower()
        return f"{_MARKS[status]} {status}" if "utf" in encoding and status in _MARKS else status

    @staticmethod
    def _paint(text: str, name: str, *, on: bool) -> str:
        return f"\x1b[{_COLORS[name]}m{text}\x1b[0m" if on and name in _COLORS else text


def _nowhere() -> TextIO:
    # a closed stream (`>&-`): the text is dropped, as requested
    return Path(os.devnull).open("w", encoding="utf-8")


def take_any_text(stream: TextIO | None) -> None:
    """Let a stream write what its encoding lacks (an ASCII terminal, lone surrogates) as escapes, without errors."""
    if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="backslashreplace")


def clean(text: str) -> str:
    """Remove control characters: a model's log must not move the cursor or change the window's title."""
    return text.translate(_CONTROLS)


def human_bytes(size: int) -> str:
    """Format a size in its largest suitable unit."""
    amount = float(size)
    for unit in ("B", "KB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 10 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
