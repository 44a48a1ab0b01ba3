"""Reads what the author wrote about the form: the member `x-halley-form` of the version's OpenAPI document.

It comes from `x-halley.form` in `cog.yaml`, where wrong keys are reported. Here a wrong part is left out: a document
may come from another server.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from halley.web.forms.fields import Example, Group

_LISTED: Final = 100


class AuthorForm(msgspec.Struct, frozen=True, kw_only=True):
    """Order, groups, labels and so on, by the names of inputs."""

    order: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    labels: Mapping[str, str] = {}
    help: Mapping[str, str] = {}
    hidden: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()


def read_author(found: Any) -> AuthorForm:
    """The author's form; the parts that cannot be read are left out."""
    if not isinstance(found, dict):
        return AuthorForm()
    return AuthorForm(
        order=_names(found.get("order")),
        groups=tuple(_groups(found.get("groups"))),
        labels=_texts(found.get("labels")),
        help=_texts(found.get("help")),
        hidden=_names(found.get("hidden")),
        examples=tuple(_examples(found.get("examples"))),
    )


def _names(found: Any) -> tuple[str, ...]:
    listed = found if isinstance(found, list) else []
    return tuple(dict.fromkeys(name for name in listed if isinstance(name, str)))


def _texts(found: Any) -> dict[str, str]:
    return {name: text for name, text in found.items() if isinstance(text, str)} if isinstance(found, dict) else {}


def _groups(found: Any) -> list[Group]:
    listed = found.items() if isinstance(found, dict) else []
    return [Group(title=title, names=_names(names)) for title, names in listed if _names(names)]


def _examples(found: Any) -> list[Example]:
    listed = found[:_LISTED] if isinstance(found, list) else []
    return [
        Example(title=_title(one, number), input=one["input"])
        for number, one in enumerate(listed, start=1)
        if isinstance(one, dict) and isinstance(one.get("input"), dict)
    ]


def _title(one: dict[str, Any], number: int) -> str:
    found = one.get("title")
    return found if isinstance(found, str) and found.strip() else f"Example {number}"
