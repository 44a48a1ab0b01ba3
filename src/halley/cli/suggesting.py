"""Suggests what the user may have meant."""

from __future__ import annotations

from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Final

from halley.cli.failures import CommandError, ServerRefused

if TYPE_CHECKING:
    from halley.cli.client import Client
    from halley.cli.model_ref import ModelRef

_LOOKED_AT: Final = 200


def no_such_model(client: Client, ref: ModelRef) -> ServerRefused:
    """Return the error for a model that the server does not have, with the most similar name that it has."""
    try:
        names = [f"{item.get('owner')}/{item.get('name')}" for item in islice(client.models(), _LOOKED_AT)]
    except CommandError:
        names = []  # a server that lists no models may run them nevertheless
    close = get_close_matches(ref.model or "", names, n=1)
    otherwise = "`halley models list` shows what is served." if names else "Check its name, and the server."
    hint = f"Did you mean {close[0]}?" if close else otherwise
    return ServerRefused(404, f"There is no model {ref.model} on {client.target.root}.", hint=hint)
