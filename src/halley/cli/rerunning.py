"""Runs a prediction of a server again."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from halley.cli.client import Json, segment
from halley.cli.failures import UsageProblem
from halley.cli.inputs import Pair, build_input, input_properties
from halley.cli.model_ref import parse_model_ref

if TYPE_CHECKING:
    from collections.abc import Sequence

    from halley.cli.client import Client
    from halley.cli.screen import Screen


def rerun(client: Client, screen: Screen, prediction_id: str, pairs: Sequence[Pair], removed: Sequence[str]) -> Json:
    """Create a prediction with the input of an earlier one, as changed by these; returns it.

    Raises:
        UsageProblem: an input is both given and removed.
        ServerRefused: the server does not run it again; its answer says why.
    """
    changes: dict[str, Any] = dict.fromkeys(removed)
    if pairs:
        given = build_input(pairs, input_properties(_schema(client, prediction_id)), client.upload, screen.note)
        if twice := sorted(changes.keys() & given.keys()):
            raise UsageProblem(f"The input {twice[0]} is both given and left out.")
        changes |= given
    path = f"/predictions/{segment(prediction_id)}/rerun"
    made = client.call("POST", path, json={"input": changes}, headers={"idempotency-key": secrets.token_hex(16)})
    return dict(made)


def _schema(client: Client, prediction_id: str) -> Any:
    """The schema of the prediction's version, if the server shows it."""
    earlier = client.look(prediction_id).prediction
    version = client.version(parse_model_ref(f"{earlier.get('model')}:{earlier.get('version')}"))
    return None if version is None else version.get("openapi_schema")
