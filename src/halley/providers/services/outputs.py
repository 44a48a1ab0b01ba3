"""Turns the output of a run at a service, while it grows, into parts whose links are fetched and stored here."""

from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from halley.assets.data_urls import is_data_url
from halley.assets.positions import FilePosition, output_places, places, with_texts
from halley.dispatch.ports import OutputPart, Pointer
from halley.providers.services.texts import texts_in

_DATA: Final = b"data:"
_SEPARATOR: Final = b"://"
_SCHEMES: Final = (b"http://", b"https://")


class LinkRules(msgspec.Struct, frozen=True, kw_only=True):
    """Hosts whose URLs are files wherever they stand in an output: the service's own, and where it delivers files."""

    host: str  # with the port, unless it is the usual one
    origin: tuple[str, int] | None = None  # its host and port
    delivery_hosts: tuple[str, ...] = ()
    has_data_urls: bool = False  # it sends files as `data:` URLs
    passes: bool = False  # links stay as they are, and their files are not fetched

    def delivers(self, url: str) -> bool:
        """Whether the URL is a file of the service."""
        found = host_of(url)
        return found == self.host or any(found == host or found.endswith(f".{host}") for host in self.delivery_hosts)


class OutputReader:
    """The parts of one run's output, in order, each once.

    An iterator gives each of its items as it appears, any other output is one part at the end. Where the schema is not
    known, a list that begins with a word is read as an iterator of texts, and one that begins with a URL as a list of
    files, if all its texts are URLs: decision 0019. A list is the same in the end whether its items came one by one or
    not. Two readers of the same run give the same parts, so that a second follower can leave out what is recorded.
    """

    def __init__(self, document: bytes, rules: LinkRules) -> None:
        """`document` is the version's OpenAPI document, b"" if it is not known."""
        self._rules = rules
        self._is_iterator = _iterates(document)
        self._places = output_places(document) if document else None
        self._guesses = not document
        self._given = 0

    def grown(self, output: Any) -> Iterator[OutputPart]:
        """The new parts of a run that continues."""
        if isinstance(output, list) and output and self._streams(output[0]):
            yield from self._items(output, are_files=False)

    def final(self, output: Any) -> Iterator[OutputPart]:
        """The rest of a run that has succeeded."""
        if isinstance(output, list) and output and (self._streams(output[0]) or self._is_list_of_texts(output)):
            yield from self._items(output, are_files=self._guesses and _are_urls(output))
        elif output is not None and not self._given:
            yield self._part(output, self._places, guesses=self._guesses, more=False)

    def _streams(self, first: Any) -> bool:
        if self._is_iterator is None:
            return isinstance(first, str) and not is_url(first)
        return self._is_iterator

    def _is_list_of_texts(self, output: Sequence[Any]) -> bool:
        return self._is_iterator is None and isinstance(output[0], str)

    def _items(self, output: Sequence[Any], *, are_files: bool) -> Iterator[OutputPart]:
        where = None if self._places is None else self._places.items
        for item in output[self._given :]:
            self._given += 1
            yield self._part(item, where, guesses=are_files, more=True)

    def _part(self, value: Any, where: FilePosition | None, *, guesses: bool, more: bool) -> OutputPart:
        encoded = msgspec.json.encode(value)
        has_data_urls = self._rules.has_data_urls and _DATA in encoded
        if not has_data_urls and not _may_have_url(encoded):
            return OutputPart(value=msgspec.Raw(encoded), more=more)
        files = {at for at, _ in places(where, value)} if where is not None else set()
        if guesses:
            files |= _guessed(value)
        links = {
            at: text for at, text in texts_in(value) if is_url(text) and (at in files or self._rules.delivers(text))
        }
        passed = self._rules.passes and bool(links)
        if passed:
            links = {}
        if has_data_urls:
            links |= {at: text for at, text in texts_in(value) if is_data_url(text) and (at in files or self._guesses)}
        padded = [(at, text.strip()) for at, text in links.items() if text != text.strip()]
        if padded:
            encoded = with_texts(encoded, padded)
        return OutputPart(
            value=msgspec.Raw(encoded), links=tuple(links), origin=self._rules.origin, more=more, passed=passed
        )


def _may_have_url(encoded: bytes) -> bool:
    """Whether a URL may be in the JSON. A pattern that ignores case would take 2 s for 60 MB, without interruption."""
    if _SEPARATOR not in encoded:
        return False
    lower = encoded.lower()
    return any(scheme in lower for scheme in _SCHEMES)


def _guessed(value: Any) -> frozenset[Pointer]:
    """The places of files if there is no schema: texts that are URLs; in a list only if all its texts are URLs."""
    found = [at for at, text in texts_in(value) if is_url(text) and _names_file(text)]
    words = {at[:-1] for at, text in texts_in(value) if at and not is_url(text)}
    return frozenset(at for at in found if not at or isinstance(at[-1], str) or at[:-1] not in words)


def _are_urls(output: Sequence[Any]) -> bool:
    return all(is_url(item) and _names_file(item) for item in output if isinstance(item, str))


def is_url(text: str) -> bool:
    """Whether a text as a whole is an http(s) URL, perhaps with spaces around it."""
    words = text.split(maxsplit=1)
    return len(words) == 1 and words[0][:8].lower().startswith(("http://", "https://")) and host_of(words[0]) != ""


def _names_file(url: str) -> bool:
    """Whether the URL names something on its host."""
    try:
        return urlsplit(url).path.strip("/") != ""
    except ValueError:
        return False


def host_of(url: str) -> str:
    """The host of a URL, with its port unless it is the usual one; "" if it has none that can be read."""
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
