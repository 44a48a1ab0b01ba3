from dataclasses import dataclass
from pathlib import Path
from typing import Optional


@dataclass
class Page:
    scan: Path
    back: Optional[Path] = None


@dataclass
class Book:
    cover: Page
    pages: list[Page]


def run(books: list[Book]) -> str:
    pages = [page for book in books for page in (book.cover, *book.pages)]
    return " ".join(page.scan.read_text() + (page.back.read_text() if page.back else "-") for page in pages)
