"""The account behind a key, keys, hardware. Source: contract section 10.5; keys are an extension."""

from typing import Final

import msgspec

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Response, json_response
from halley.api.presentation import present
from halley.api.presentation.paging import page_link, read_cursor, read_limit
from halley.api.presentation.present import encode
from halley.api.presentation.problems import all_invalid, invalid
from halley.api.presentation.wire.accounts import Hardware, KeyPage
from halley.api.resources.bodies import read_small_object, text_member
from halley.errors import BadRequest, InvalidField
from halley.ids import is_id
from halley.keys.records import DEFAULT_SCOPES, KeyOptions, Scope
from halley.keys.tokens import DEFAULT_PREFIX

_HARDWARE: Final = encode([Hardware(name="CPU", sku="cpu")])
_NAME_LIMIT: Final = 200
_PAGE: Final = 100
_FORMS: Final = {"retention": "must be a period as text, such as 1h or 30d, or never"}  # plainer than the pattern
_OPTION_NAMES: Final = ", ".join(KeyOptions.__struct_fields__)


async def get_account(call: Call, parts: ApiContext) -> Response:  # noqa: ARG001
    """Row 30."""
    return json_response(encode(present.account(call.identity.account)))


async def list_hardware(call: Call, parts: ApiContext) -> Response:  # noqa: ARG001
    """Row 29: a bare array."""
    return json_response(_HARDWARE)


async def list_keys(call: Call, parts: ApiContext) -> Response:
    """Keys of all accounts, newest first, without their secrets."""
    query = call.query()
    cursor, limit = read_cursor(query), read_limit(query, _PAGE)
    if cursor is not None and (cursor.side != "older" or not is_id(cursor.mark)):
        raise BadRequest("The cursor is not valid: use the `next` URL of a list.")
    found = await parts.keys.page(cursor.mark if cursor else None, limit + 1)
    mark = found[limit - 1][0].id if len(found) > limit else None
    following = page_link(call.variant, "/keys", query, "older", mark)
    shown = [present.key(key, account) for key, account in found[:limit]]
    return json_response(encode(KeyPage(next=following, previous=None, results=shown)))


async def get_key(call: Call, parts: ApiContext) -> Response:
    """One key, without its secret."""
    return json_response(encode(present.key(*await parts.keys.get(call.params[0]))))


async def current_key(call: Call, parts: ApiContext) -> Response:
    """The key of the request: what it may do, and what its newest predictions were."""
    identity = call.identity
    usage = await parts.key_usages.of_key(identity.account.id, identity.key.id)
    return json_response(encode(present.current_key(identity.key, identity.account, usage)))


async def create_key(call: Call, parts: ApiContext) -> Response:
    """Create a key; its token is in this answer only."""
    members = await read_small_object(call, parts)
    username = text_member(members, "username") if "username" in members else call.identity.account.username
    name = text_member(members, "name", required=False)
    if len(name) > _NAME_LIMIT:
        raise invalid("max_length", "name", f"must be at most {_NAME_LIMIT} characters")
    options = KeyOptions().changed(_option_changes(members.get("options")))
    prefix = text_member(members, "prefix", required=False).removesuffix("_") or DEFAULT_PREFIX
    scopes = _scopes(members.get("scopes"))
    token, key = await parts.keys.issue(username, name, scopes, options=options, prefix=prefix)
    headers = [(b"location", f"{call.variant.base}/keys/{key.id}".encode()), (b"cache-control", b"no-store")]
    return json_response(encode(present.new_key(key, username, token)), 201, headers)


async def change_key(call: Call, parts: ApiContext) -> Response:
    """Change some of a key's options, from now on."""
    members = await read_small_object(call, parts)
    if "options" not in members:
        raise invalid("required", "options", f"give the options to change: {_OPTION_NAMES}")
    key, account = await parts.keys.change_options(call.params[0], _option_changes(members["options"]))
    return json_response(encode(present.key(key, account)))


async def delete_key(call: Call, parts: ApiContext) -> Response:
    """Refuse the key from now on."""
    await parts.keys.revoke(call.params[0])
    return Response(status=204)


def _option_changes(value: object) -> dict[str, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid("type", "options", f"must be an object with some of {_OPTION_NAMES}")
    faults = [fault for name, item in value.items() if (fault := _option_fault(name, item)) is not None]
    all_invalid(faults)
    return value


def _option_fault(name: str, value: object) -> InvalidField | None:
    field = f"options.{name[:100]}"
    if name not in KeyOptions.__struct_fields__:
        return InvalidField(
            type="unknown", field=field, description=f"unknown option; the options are: {_OPTION_NAMES}"
        )
    try:
        KeyOptions().changed({name: value})
    except msgspec.ValidationError as error:
        description = _FORMS.get(name) or str(error).partition(" - at ")[0]
        return InvalidField(type="type", field=field, description=description)
    return None


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
