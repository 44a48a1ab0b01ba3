"""Draws what the documentation shows of the code: python docs/draw.py [--check].

Between `<!-- drawn: NAME -->` and `<!-- end -->` stands what a function here makes from the code itself. With --check
nothing is written and a stale drawing ends it with 1.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from halley.predictions.lifecycle import REASONS, TRANSITIONS
from halley.predictions.status import TERMINAL, Fact, Status

DOCS: Final = Path(__file__).resolve().parent


def lifecycle() -> str:
    """The transition table as a Mermaid state diagram."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {Status.STARTING}: created"]
    arrows: dict[tuple[Status, Status], list[Fact]] = {}
    for (before, fact), after in TRANSITIONS.items():
        arrows.setdefault((before, after), []).append(fact)
    lines += [f"    {before} --> {after}: {', '.join(facts)}" for (before, after), facts in arrows.items()]
    lines += [f"    {status} --> [*]" for status in Status if status in TERMINAL]
    return "\n".join([*lines, "```"])


def transitions() -> str:
    """The transition table as a table: what leads where."""
    rows = ["| when it is | and this happens | it becomes | reason |", "|---|---|---|---|"]
    for (before, fact), after in TRANSITIONS.items():
        reason = REASONS.get((before, fact), "")
        rows.append(f"| `{before}` | {fact.replace('_', ' ')} | `{after}` | {f'`{reason}`' if reason else ''} |")
    rest = len(Status) * len(Fact) - len(TRANSITIONS)
    return "\n".join([*rows, "", f"The other {rest} pairs of status and fact are refused."])


DRAWINGS: Final[dict[str, Callable[[], str]]] = {"lifecycle": lifecycle, "transitions": transitions}


def redrawn(text: str) -> str:
    """The page with every drawing made anew."""
    for name, draw in DRAWINGS.items():
        place = re.compile(rf"(<!-- drawn: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = place.sub(lambda found, draw=draw: f"{found[1]}{draw()}\n{found[2]}", text)  # type: ignore[misc]
    return text


def main() -> int:
    stale = []
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        fresh = redrawn(text)
        if fresh != text:
            stale.append(page)
            if "--check" not in sys.argv:
                page.write_text(fresh, encoding="utf-8")
                sys.stdout.write(f"drawn: {page.relative_to(DOCS.parent)}\n")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
