"""Snippets for the `halley` command."""

import re
import shlex
from typing import Any, Final

from halley.web.snippets.literals import JSON, literal
from halley.web.snippets.request import KEY_NAME, SnippetRequest, Way

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)
_UNLIKE_TEXT: Final = re.compile(r"[@\[{]|[+-]?[.\d]|(true|false|yes|no|on|off)$", re.IGNORECASE)


def code(way: Way, asked: SnippetRequest) -> str:
    """The snippet of one way. The command reads the key from the environment, as the clients do."""
    unfit = [name for name in asked.input if not _NAME.fullmatch(name)]
    if way == "webhook":
        lines = [
            "# `halley run` has no option for a webhook: use a client or curl.",
            "# `halley webhooks listen` receives the webhooks of your account without a public address.",
        ]
    elif unfit:
        lines = ["# A name of these inputs cannot be written on a command line: use a client or curl."]
    else:
        lines = _lines(way, asked)
    return "\n".join(lines) + "\n"


def _lines(way: Way, asked: SnippetRequest) -> list[str]:
    words = [f"halley run {shlex.quote(asked.ref)}", *(_pair(name, value) for name, value in asked.input.items())]
    is_file = asked.output in ("file", "files")
    match way:
        case "poll":
            call = _broken([*words, "--no-wait"])
            call[0] = f"id=$({call[0]}"
            call[-1] += " |"  # in a pipe, the command prints JSON
            call.append("""  sed 's/^{"id": "\\([^"]*\\)".*/\\1/')""")
            body = [*call, 'halley predictions watch "$id"' + (' --save "$id"' if is_file else "")]
        case "stream":
            body = _broken([*words, "--stream"])
        case _:
            body = _broken([*words, *(["-o output/"] if is_file else [])])
    # a key of this variable is sent to the server of that one only
    return [f"export REPLICATE_BASE_URL={shlex.quote(asked.base_url)}  # the key: {KEY_NAME}", *body]


def _broken(words: list[str]) -> list[str]:
    """One option a line if they do not fit on one."""
    line = " ".join(words)
    if len(line) <= 100:
        return [line]
    return [f"{word} \\" for word in [words[0], *(f"  {word}" for word in words[1:-1])]] + [f"  {words[-1]}"]


def _pair(name: str, value: Any) -> str:
    """One input as a word. `name=text` is for text that cannot be meant as anything else."""
    if isinstance(value, str) and value and value.isprintable() and not _UNLIKE_TEXT.match(value):
        return f"{name}={shlex.quote(value)}"
    return f"{name}:={shlex.quote(literal(value, JSON))}"
