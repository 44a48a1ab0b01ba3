"""What the documentation draws of the code is what the code says."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
_spec = importlib.util.spec_from_file_location("draw", DOCS / "draw.py")
assert _spec is not None
assert _spec.loader is not None
draw = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(draw)

PAGES = sorted(DOCS.rglob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_drawings_are_fresh(page: Path) -> None:
    text = page.read_text()
    assert draw.redrawn(text) == text, "run: python docs/draw.py"


def test_every_drawing_is_shown_somewhere() -> None:
    shown = "".join(page.read_text() for page in PAGES)
    assert all(f"<!-- drawn: {name} -->" in shown for name in draw.DRAWINGS)
