"""The text that the model learns from: Python's language reference, as `help()` shows it; its prose only."""

import re
from collections.abc import Iterator
from pydoc_data.topics import topics

_INDENT = 3
"""Code and grammar stand further in than this."""

_TABLE = re.compile(r"[-=+|*~^]{4,}|::=|>>>|^\|")


def read_paragraphs() -> Iterator[str]:
    """Yield paragraphs of sentences, without code, tables, grammar, headings or the marks of cross-references."""
    for name in sorted(topics):
        for block in topics[name].split("\n\n"):
            text = block.strip("\n")
            if _is_prose(text):
                yield text.replace("“", "").replace("”", "").replace("*", "").replace("`", "")


def _is_prose(block: str) -> bool:
    text = block.lstrip()
    indent = len(block) - len(text)
    return (
        len(text) > 60
        and indent <= _INDENT
        and text[0].isupper()
        and text.rstrip()[-1] in ".:"
        and _TABLE.search(text) is None
    )
