"""Compares a create with a run in the list of a service: did this create begin that run?"""

import re
from enum import Enum, auto
from typing import Any, Final

from halley.assets.data_urls import is_data_url
from halley.providers.replicate.creates import Create
from halley.providers.services.outputs import is_url

_REDACTED: Final = "[REDACTED]"
_HIDDEN: Final = "hidden"
# without its beginning: `server.public_url` may have changed since
_HOOK: Final = re.compile(r"/upstreams/hooks/([0-9a-z]+)-[0-9a-z]+-([\w-]+)-[\w-]{22}(?!\S)", re.ASCII)


class RunMatch(Enum):
    """NONE: certainly the run of another create. SURE: its input is exactly what we sent. MAYBE: neither is certain."""

    NONE = auto()
    MAYBE = auto()
    SURE = auto()


def match_run(create: Create, given: dict[str, Any], row: dict[str, Any]) -> RunMatch:
    """Compare the create, whose decoded input is `given`, with a row of the list.

    A service may show an input with defaults, without secrets, with other links to files, or not at all.
    """
    if has_our_webhook(create, row):
        return RunMatch.SURE
    if (place := _place(row.get("webhook"))) is not None and place[0] != create.prediction_id:
        return RunMatch.NONE
    model, version, theirs = row.get("model"), row.get("version"), row.get("input")
    if isinstance(model, str) and model.lower() != create.model.lower():
        return RunMatch.NONE
    if isinstance(version, str) and create.version is not None and version not in (create.version, _HIDDEN):
        return RunMatch.NONE
    if not isinstance(theirs, dict) or (row.get("data_removed") is True and not theirs):
        return RunMatch.MAYBE
    if theirs == given:
        return RunMatch.SURE
    pairs = [(mine, theirs[name]) for name, mine in given.items() if name in theirs]
    return RunMatch.MAYBE if all(_could_be(mine, other) for mine, other in pairs) else RunMatch.NONE


def has_our_webhook(create: Create, row: dict[str, Any]) -> bool:
    """Whether the row shows an address for webhooks about this prediction, which no create to another provider has."""
    place, ours = _place(row.get("webhook")), _place(create.webhook)
    return place is not None and place == (ours or (create.prediction_id, place[1]))


def _place(webhook: object) -> tuple[str, str] | None:
    """The prediction and the provider in a webhook address; None if it is not an address of a Halley."""
    found = _HOOK.search(webhook) if isinstance(webhook, str) else None
    return None if found is None else (found[1], found[2])


def _could_be(mine: Any, theirs: Any) -> bool:
    """Whether the service could show `mine` as `theirs`."""
    if theirs is None or theirs in (_REDACTED, mine):
        return True
    if isinstance(mine, str) and isinstance(theirs, str):
        return _is_link(mine) and _is_link(theirs)
    if isinstance(mine, dict) and isinstance(theirs, dict):
        return all(_could_be(value, theirs[name]) for name, value in mine.items() if name in theirs)
    if isinstance(mine, list) and isinstance(theirs, list):
        return len(mine) == len(theirs) and all(map(_could_be, mine, theirs))
    return False


def _is_link(text: str) -> bool:
    return is_url(text) or is_data_url(text)
