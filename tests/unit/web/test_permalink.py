"""The pages of links are loaded before their first request, in a thread."""

from collections.abc import Callable
from typing import Any

import jinja2
import pytest

from halley.app.pages import prediction_pages
from halley.testing.stores.maker import Maker


def test_no_template_is_compiled_by_the_first_page(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str | None] = []
    compile_it: Callable[..., Any] = jinja2.Environment.compile

    def compile_noted(self: jinja2.Environment, source: str, name: str | None = None, *more: Any) -> Any:
        compiled.append(name)
        return compile_it(self, source, name, *more)

    monkeypatch.setattr(jinja2.Environment, "compile", compile_noted)
    pages = prediction_pages()
    assert "closed.html" in compiled
    before = len(compiled)
    link = "http://127.0.0.1/files/a.png"
    assert b"a.png" in pages.prediction(Maker().prediction(), output=None, links={link: "image/png"})
    pages.removed("p" * 26)
    assert compiled[before:] == []
