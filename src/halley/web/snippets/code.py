"""The code of every client and way."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from halley.web.snippets import command, curl, go, javascript, python1, python2
from halley.web.snippets.request import Client, SnippetRequest, Way

_WRITERS: Final[Mapping[Client, Callable[[Way, SnippetRequest], str]]] = {
    "python": python1.code,
    "python2": python2.code,
    "javascript": javascript.code,
    "go": go.code,
    "curl": curl.code,
    "halley": command.code,
}
LABELS: Final[Mapping[Client, str]] = {
    "python": "Python",
    "python2": "Python 2 beta",
    "javascript": "JavaScript",
    "go": "Go",
    "curl": "curl",
    "halley": "halley",
}
WAY_LABELS: Final[Mapping[Way, str]] = {
    "wait": "Wait",
    "poll": "Poll",
    "stream": "Stream",
    "webhook": "Webhook",
}
_LONG: Final = 20_000  # characters of one text: more is a file that was put into a data: URL


def code_for(client: Client, way: Way, asked: SnippetRequest) -> str:
    """The program that makes this prediction with this client, and gets its result this way."""
    return _WRITERS[client](way, asked)


def shortened(asked: SnippetRequest) -> tuple[SnippetRequest, tuple[str, ...]]:
    """The request with very long texts cut, and the names of the inputs concerned: code is for reading."""
    cut = {name: _cut(value) for name, value in asked.input.items()}
    names = tuple(name for name, value in asked.input.items() if cut[name] != value)
    return msgspec.structs.replace(asked, input=cut), names


def _cut(value: Any) -> Any:
    match value:
        case str() if len(value) > _LONG:
            return value[:60] + "..."
        case list():
            return [_cut(item) for item in value]
        case dict():
            return {name: _cut(item) for name, item in value.items()}
        case _:
            return value
