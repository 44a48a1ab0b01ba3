"""Snippets for curl and a POSIX shell."""

import shlex
from typing import Any, Final

from halley.web.snippets.literals import JSON, literal
from halley.web.snippets.request import KEY_NAME, WEBHOOK, SnippetRequest, Way

_AUTHORIZATION: Final = f'-H "Authorization: Bearer ${KEY_NAME}"'
# with the member that follows it: an input may contain such a text
_ENDED: Final = '"status":"(succeeded|failed|canceled)","created_at"'


def code(way: Way, asked: SnippetRequest) -> str:
    """The snippet of one way."""
    return "\n".join(_lines(way, asked)) + "\n"


def _lines(way: Way, asked: SnippetRequest) -> list[str]:
    match way:
        case "wait":
            return _create(asked, "Prefer: wait")
        case "poll":
            return [
                *_captured(_create(asked), "url", "get"),
                f'until curl -sS {_AUTHORIZATION} "$url" | tee prediction.json |',
                f"  grep -qE '{_ENDED}'; do sleep 0.5; done",
                "cat prediction.json",
            ]
        case "stream":
            return [*_captured(_create(asked), "stream", "stream"), 'curl -sSN "$stream"  # needs no key']
        case "webhook":
            return _create(asked, webhook=True)


def _create(asked: SnippetRequest, *headers: str, webhook: bool = False) -> list[str]:
    path = f"models/{asked.model}/predictions" if asked.version is None else "predictions"
    body: dict[str, Any] = {} if asked.version is None else {"version": asked.version}
    body["input"] = asked.input
    if webhook:
        body |= {"webhook": WEBHOOK, "webhook_events_filter": ["completed"]}
    return [
        f"curl -sS -X POST {shlex.quote(f'{asked.base_url}/v1/{path}')} \\",
        f"  {_AUTHORIZATION} \\",
        '  -H "Content-Type: application/json" \\',
        *(f'  -H "{header}" \\' for header in headers),
        f"  -d {shlex.quote(_body(body))}",
    ]


def _body(body: dict[str, Any]) -> str:
    # one member a line, also if it is short: it is what a reader changes
    members = [f'  "{name}": {literal(value, JSON, 1)}' for name, value in body.items()]
    return "{\n" + ",\n".join(members) + "\n}"


def _captured(create: list[str], name: str, link: str) -> list[str]:
    """Keep one of the answer's links in a variable; the last match is the one in `urls`."""
    first, *others = create
    return [
        f"{name}=$({first}",
        *others[:-1],
        f"{others[-1]} |",
        f'  sed -n \'s/.*"{link}":"\\([^"]*\\)".*/\\1/p\')',
    ]
