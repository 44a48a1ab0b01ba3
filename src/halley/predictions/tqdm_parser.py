"""Finds progress bars in log text: lines in tqdm's form, as the official clients read them from `logs`.

A model that prints a bar reports its progress, and all clients read the same line. Source: contract section 15.1,
progress.
"""

import re
from typing import Final

from halley.predictions.records import Step

LINE_CHARS: Final = 500  # kept of an unfinished line; a bar is shorter
HEAD_CHARS: Final = 40  # before the percent sign: indentation or the end of a description, and the number
MOST_TRIED: Final = 32  # candidates in one text: text that looks like a bar almost always is one

# `NN%|bar| done/total` at the start of a line, as the official clients have it; tqdm's description may come before it.
# The search starts from the rarest character: text without bars costs almost nothing.
# one more character, so that the number is complete
_BAR: Final = re.compile(r"%[ \t]*\|[^|\r\n]+\|[ \t]*(\d{1,15})/(\d{1,15})[^\d]")
_HEAD: Final = re.compile(r"(?:(?:^|[\r\n])[ \t]*|: +)(\d{1,3})$")


class TqdmParser:
    """Reads log text that arrives in pieces of any length. Of several bars, the line that was written last counts."""

    __slots__ = ("_line",)

    def __init__(self) -> None:
        self._line = ""  # the unfinished line

    def read(self, text: str) -> Step | None:
        """The last step that this piece shows; None if it shows none."""
        whole = self._line + text
        begin = max(whole.rfind("\n"), whole.rfind("\r")) + 1
        self._line = whole[begin : begin + LINE_CHARS]
        return _last(whole)

    def rest(self) -> Step | None:
        """The step of the unfinished line, after the end of the text."""
        line, self._line = self._line, ""
        return last_step(line)


def last_step(text: str) -> Step | None:
    """The step of the last bar in a complete text."""
    return _last(text + "\n")


def _last(text: str) -> Step | None:
    for bar in reversed(list(_BAR.finditer(text))[-MOST_TRIED:]):
        at = bar.start()
        head = _HEAD.search(text, max(0, at - HEAD_CHARS), at)
        if head is not None:
            percent, done, total = int(head[1]), int(bar[1]), int(bar[2])
            return Step(fraction=min(percent, 100) / 100, current=done, total=total)
    return None
