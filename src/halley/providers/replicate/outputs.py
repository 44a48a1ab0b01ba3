"""Turns an output, as it grows at a service, into parts whose links are fetched and stored here."""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from halley.assets.positions import FilePosition, output_places, places, with_texts
from halley.dispatch.ports import OutputPart, Pointer
from halley.providers.replicate.texts import texts_in


class LinkRules(msgspec.Struct, frozen=True, kw_only=True):
    """Hosts whose URLs are files wherever they stand in an output: the service's own, and where it delivers files."""

    host: str  # with the port, unless it is the usual one
    delivery_hosts: tuple[str, ...] = ()

    def delivers(self, url: str) -> bool:
        """Whether the URL is a file of the service."""
        found = _host(url)
        return found == self.host or any(found == host or found.endswith(f".{host}") for host in self.delivery_hosts)


class OutputReader:
    """The parts of one run's output, in order, each once.

    An iterator gives each of its items, any other output is one part at the end. Where the schema is not known, a list
    that begins with a text is read as an iterator: the list is the same in the end. Two readers of the same run give
    the same parts, so that a second follower can leave out what the first one recorded.
    """

    def __init__(self, document: bytes, rules: LinkRules) -> None:
        """`document` is the version's OpenAPI document, b"" if it is not known."""
        self._rules = rules
        self._is_iterator = _iterates(document)
        self._places = output_places(document) if document else None
        self._knows_places = bool(document)
        self._given = 0

    def grown(self, output: Any) -> Iterator[OutputPart]:
        """The new parts of a run that continues."""
        if isinstance(output, list) and self._reads_items(output):
            where = None if self._places is None else self._places.items
            for item in output[self._given :]:
                self._given += 1
                yield self._part(item, where, more=True)

    def final(self, output: Any) -> Iterator[OutputPart]:
        """The rest of a run that has succeeded."""
        if isinstance(output, list) and self._reads_items(output):
            yield from self.grown(output)
        elif output is not None and not self._given:
            yield self._part(output, self._places, more=False)

    def _reads_items(self, output: Sequence[Any]) -> bool:
        if not output:
            return False
        return isinstance(output[0], str) if self._is_iterator is None else self._is_iterator

    def _part(self, value: Any, where: FilePosition | None, *, more: bool) -> OutputPart:
        links = dict(self._links(value, where))
        encoded = msgspec.json.encode(value)
        padded = [(at, text.strip()) for at, text in links.items() if text != text.strip()]
        if padded:
            encoded = with_texts(encoded, padded)
        return OutputPart(value=msgspec.Raw(encoded), links=tuple(links), more=more)

    def _links(self, value: Any, where: FilePosition | None) -> Iterator[tuple[Pointer, str]]:
        files = {at for at, _ in places(where, value)} if where is not None else ()
        for at, text in texts_in(value):
            if not is_url(text):
                continue
            if at in files or self._rules.delivers(text) or (not self._knows_places and _names_file(text)):
                yield at, text


def is_url(text: str) -> bool:
    """Whether a text as a whole is an http(s) URL, perhaps with spaces around it."""
    words = text.split(maxsplit=1)
    return len(words) == 1 and words[0][:8].lower().startswith(("http://", "https://")) and _host(words[0]) != ""


def _names_file(url: str) -> bool:
    """Whether the URL names something on its host."""
    try:
        return urlsplit(url).path.strip("/") != ""
    except ValueError:
        return False


def _host(url: str) -> str:
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return ""
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.hostname or "" if port in (None, usual) else f"{parts.hostname}:{port}"


def _iterates(document: bytes) -> bool | None:
    """Whether the output is an iterator; None if the schema is not known."""
    try:
        rule = msgspec.json.decode(document)["components"]["schemas"]["Output"]
        return bool(rule.get("x-cog-array-type") == "iterator")
    except (KeyError, TypeError, AttributeError, msgspec.DecodeError, UnicodeDecodeError):
        return None
