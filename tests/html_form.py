"""Reads a form out of a page and posts it as a browser does, without scripts."""

from html.parser import HTMLParser
from typing import Final

import msgspec

_VOID: Final = frozenset({"input", "br", "img", "meta", "link", "hr"})


class Button(msgspec.Struct, frozen=True):
    name: str
    value: str
    text: str = ""


class HtmlForm(HTMLParser):
    """The controls of one page, with their values. Only what a page of ours contains is understood."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.pairs: list[tuple[str, str]] = []
        self.files: list[str] = []
        self.buttons: list[Button] = []
        self.ids: list[str] = []
        self.labels: dict[str, str] = {}
        self.kinds: dict[str, str] = {}
        self._area: str | None = None
        self._select: str | None = None
        self._chosen: str | None = None
        self._button: tuple[str, str] | None = None
        self._label: str | None = None
        self._text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        assert len(given) == len(attrs), attrs
        if "id" in given:
            self.ids.append(given["id"])
        name = given.get("name", "")
        if tag in {"input", "textarea", "select"}:
            self.kinds[name] = given.get("type", tag)
        if tag == "input":
            self._input(name, given)
        elif tag == "textarea":
            self._area, self._text = name, ""
        elif tag == "select":
            self._select, self._chosen = name, None
        elif tag == "option" and (self._chosen is None or "selected" in given):
            self._chosen = given["value"]
        elif tag == "button":
            self._button, self._text = (name, given.get("value", "")), ""
        elif tag == "label":
            self._label, self._text = given.get("for"), ""

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self._area is not None:
            self.pairs.append((self._area, self._text.removeprefix("\n")))
            self._area = None
        elif tag == "select" and self._select is not None:
            assert self._chosen is not None
            self.pairs.append((self._select, self._chosen))
            self._select = None
        elif tag == "button" and self._button is not None:
            self.buttons.append(Button(*self._button, " ".join(self._text.split())))
            self._button = None
        elif tag == "label" and self._label is not None:
            self.labels[self._label] = " ".join(self._text.split())
            self._label = None

    def _input(self, name: str, given: dict[str, str]) -> None:
        kind = given.get("type", "text")
        if kind == "file":
            self.files.append(name)
        elif kind in {"checkbox", "radio"}:
            if "checked" in given:
                self.pairs.append((name, given["value"]))
        elif kind == "number":  # an unreadable value is emptied; ours is checked before
            float(given["value"] or "0")
            self.pairs.append((name, given["value"]))
        else:
            self.pairs.append((name, given["value"].replace("\n", "").replace("\r", "")))

    def posted(self, **changes: str) -> list[tuple[str, str]]:
        """What is sent, in the order of the page; ends of lines become CR LF. A change replaces a control's text."""
        return self.posted_with(changes)

    def posted_with(self, changes: dict[str, str]) -> list[tuple[str, str]]:
        names = {name for name, _ in self.pairs}
        assert names.issuperset(changes), changes.keys() - names
        return [(name, _crlf(changes.get(name, text))) for name, text in self.pairs]


def _crlf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
