"""Hard sentences, and idiom in texts and comments, do not come back (style guide, plain words)."""

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from docs.pages import PAGES, ROOT, name_of

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


IDIOM: Final = (
    r"anew",
    r"whoever",
    r"whatever",
    r"nobody",
    r"somebody",
    r"everybody",
    r"for ever",
    r"told",
    r"tells",
    r"unasked",
    r"go(?:es)? on(?! at)",
    r"lies",
    r"neighbours?",
    r"courier",
    r"door",
    r"of its own making",
    r"concerns itself",
    r"the way of",
    r"cannot be had",
    r"had back",
    r"taken for",
    r"lets? (?:\w+ )?go",
    r"born leased",
    r"bottles?",
    r"deaf",
    r"desk",
    r"for good",
    r"fulfils?",
    r"hears?",
    r"in vain",
    r"keepers?",
    r"last words",
    r"leap(?:s|t)?",
    r"newcomers?",
    r"orphans?",
    r"outlives us",
    r"parcel",
    r"patien(?:ce|tly)",
    r"shelf",
    r"siege",
    r"slate",
    r"strayed",
    r"swallow(?:s|ed)?",
    r"unheard",
    r"wish(?:es)?",
    r"by turns",
    r"all the same",
)
_IDIOM: Final = re.compile(rf"\b(?:{'|'.join(IDIOM)})\b", re.IGNORECASE)
_DECISIONS: Final = ROOT / "docs/decisions"  # records are not rewritten
_LINKS: Final = re.compile(r"\[[^\]]*\]\([^)]*decisions/[^)]*\)")


def test_pages_are_without_idiom() -> None:
    pages = {name_of(page): _LINKS.sub("", page.read_text()) for page in PAGES if _DECISIONS not in page.parents}
    assert [(name, *_idiom(text)) for name, text in pages.items() if _idiom(text)] == []


def test_messages_and_help_are_without_idiom() -> None:
    source = ROOT / "src/halley"
    paths = [path for path in sorted(source.rglob("*.py")) if source / "testing" not in path.parents]
    assert [(str(path.relative_to(ROOT)), text) for path in paths for text in _texts(path) if _idiom(text)] == []


def test_comments_and_docstrings_are_without_idiom() -> None:
    paths = [path for path in sorted((ROOT / "src/halley").rglob("*.py")) if "demo" not in path.parts]
    found = [(str(path.relative_to(ROOT)), text) for path in paths for text in _notes(path) if _idiom(text)]
    assert found == []


def _notes(path: Path) -> Iterator[str]:
    """The docstrings and the comments of a module; comment lines in a row are one text."""
    if not _idiom(path.read_text()):  # most modules: parsing all of them takes seconds
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value
    block, last = "", 0
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                block, last = (block if token.start[0] == last + 1 else "") + token.string[1:], token.start[0]
                yield block


@pytest.mark.parametrize(
    "text", ["It goes on.", "the owner is told", "Whoever asks", "is loaded\nanew", "lets it go", "in\nvain"]
)
def test_an_idiom_is_found(text: str) -> None:
    assert len(_idiom(text)) == 1


def _idiom(text: str) -> list[str]:
    return _IDIOM.findall(" ".join(text.split()))


def _texts(path: Path) -> Iterator[str]:
    """The texts of a module that users may read: strings of several words, and the help of commands."""
    tree = ast.parse(path.read_text())
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in statements:
            yield node.value
        elif isinstance(node, ast.FunctionDef) and _is_command(node):
            yield ast.get_docstring(node) or ""


def _is_command(function: ast.FunctionDef) -> bool:
    return any(isinstance(one, ast.Call) and "command" in ast.unparse(one.func) for one in function.decorator_list)
