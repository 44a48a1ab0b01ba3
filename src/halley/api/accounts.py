"""The account behind a key, keys, hardware. Source: contract section 10.5; keys are an extension of ours."""

from typing import Final

from halley.api import present, wire
from halley.api.asgi import Answer, Call, json_answer
from halley.api.bodies import read_object, text_member
from halley.api.parts import Parts
from halley.api.present import encode
from halley.api.problems import invalid
from halley.keys.records import DEFAULT_SCOPES, Scope

_HARDWARE: Final = encode([wire.Hardware(name="CPU", sku="cpu")])
_NAME_LIMIT: Final = 200


async def get_account(call: Call, parts: Parts) -> Answer:  # noqa: ARG001
    """Row 30."""
    return json_answer(encode(present.account(call.identity.account)))


async def list_hardware(call: Call, parts: Parts) -> Answer:  # noqa: ARG001
    """Row 29: a bare array."""
    return json_answer(_HARDWARE)


async def list_keys(call: Call, parts: Parts) -> Answer:  # noqa: ARG001
    """All keys of all accounts, without their secrets."""
    shown = [present.key(key, account) for key, account in await parts.keys.list()]
    return json_answer(encode(wire.KeyPage(next=None, previous=None, results=shown)))


async def create_key(call: Call, parts: Parts) -> Answer:
    """Make a key; its token is in this answer and nowhere else."""
    members, _ = await read_object(call, parts.limits)
    username = text_member(members, "username") if "username" in members else call.identity.account.username
    name = text_member(members, "name", required=False)
    if len(name) > _NAME_LIMIT:
        raise invalid("max_length", "name", f"must be at most {_NAME_LIMIT} characters")
    token, key = await parts.keys.issue(username, name, _scopes(members.get("scopes")))
    headers = [(b"location", f"{call.variant.base}/keys/{key.id}".encode()), (b"cache-control", b"no-store")]
    return json_answer(encode(present.new_key(key, username, token)), 201, headers)


async def delete_key(call: Call, parts: Parts) -> Answer:
    """Refuse the key from now on."""
    await parts.keys.revoke(call.params[0])
    return Answer(status=204)


def _scopes(value: object) -> frozenset[Scope]:
    if value is None:
        return DEFAULT_SCOPES
    known = ", ".join(Scope)
    if not isinstance(value, list):
        raise invalid("type", "scopes", f"must be a list of {known}")
    try:
        return frozenset(Scope(item) for item in value)
    except (ValueError, TypeError) as error:
        raise invalid("enum", "scopes", f"must be a list of {known}") from error
