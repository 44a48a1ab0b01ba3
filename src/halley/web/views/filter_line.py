"""A filter of predictions in one line, as people type it: `status:failed model:demo/* "out of memory"`."""

import re
from collections.abc import Mapping
from typing import Final

NAMES: Final = {
    "status": "status",
    "model": "model",
    "error": "error",
    "tag": "tag",
    "since": "since",
    "after": "created_after",
    "before": "created_before",
    "key": "key",
    "provider": "provider",
    "group": "group",
}
"""What is typed before the colon, and the member of the query."""

_LONGEST: Final = 2000
_TERM: Final = re.compile(r'(?:(?P<name>[a-z]{1,16}):)?(?:"(?P<quoted>(?:[^"]|"")*)"?|(?P<plain>\S+))')
_NAME_OF: Final = {member: name for name, member in NAMES.items()}


def read_line(text: str) -> dict[str, str]:
    """The members of a query. Words without a name, or with an unknown one, are looked for in errors.

    Inside quotes, two quotes are one of the value.
    """
    found: dict[str, str] = {}
    words: list[str] = []
    for term in _TERM.finditer(text[:_LONGEST].strip()):
        name = term["name"]
        quoted = term["quoted"]
        value = term["plain"] if quoted is None else quoted.replace('""', '"')
        if name in NAMES:
            found[NAMES[name]] = value
        elif name:
            words.append(f"{name}:{value}")
        else:
            words.append(value)
    if words:
        found["error"] = " ".join([found["error"], *words] if found.get("error") else words)
    return {name: value for name, value in found.items() if value}


def write_line(members: Mapping[str, str]) -> str:
    """The line of such members; `read_line` gives them back."""
    terms = [(_NAME_OF[member], members[member]) for member in _NAME_OF if members.get(member)]
    return " ".join(f"{name}:{_quoted(value)}" for name, value in terms)


def _quoted(value: str) -> str:
    if value and '"' not in value and not re.search(r"\s", value):
        return value
    doubled = value.replace('"', '""')
    return f'"{doubled}"'
