"""Sentences that readers had to read twice, and their like, do not come back."""

from pathlib import Path
from typing import Final

import pytest

from docs.pages import PAGES, ROOT

TEXTS: Final = [*PAGES, *sorted((ROOT / "src/halley").rglob("*.py")), *sorted((ROOT / "docs").rglob("*.toml"))]
HARD: Final = (
    "what else it names is told, not done",
    "The webhook that it had was",
    "looks at its clock for so long",
    "what its page showed are gone",
    "go on counting for",
    "may change how requests with it are met",
    "It counts at every start",
    "Who gets an answer and goes has not left",
    "let them be canceled and the model be free",
    "is told `done` each time",
    "is taken up again where it was",
    "is taken up where it was",
    "neither meets the other",
    "## Do without",
    "## Who goes when room is needed",
    "What may go frees room by itself",
    "lets waiting callers go",
    "concerns itself alone",
    "does not take is not repeated",
    "The link is the right",
    "a date is never it",
    "is a page to look at",
    "lists the words for working on",
    "The settings are fit",
    "cannot be had back",
    "where nobody can be asked",
    "it is loaded anew",
    "are loaded anew",
    "the clocks cannot be applied",
)


@pytest.mark.parametrize("sentence", HARD)
def test_a_hard_sentence_is_gone(sentence: str) -> None:
    words = sentence.split()
    found = [str(path.relative_to(ROOT)) for path in TEXTS if _has(path, words)]
    assert found == []


def _has(path: Path, words: list[str]) -> bool:
    return " ".join(words) in " ".join(path.read_text().split())
