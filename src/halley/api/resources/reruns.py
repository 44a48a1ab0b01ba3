"""Run a prediction again, and list what it is linked to: an extension."""

from collections.abc import Mapping
from functools import partial
from typing import Final

import msgspec

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Response, json_response
from halley.api.presentation.present import encode
from halley.api.presentation.problems import invalid
from halley.api.presentation.statuses import OFFICIAL
from halley.api.presentation.wire.reruns import RelatedPage, RelatedPrediction
from halley.api.presentation.withheld import require_read
from halley.api.repeats import ATTEMPT_KEY
from halley.api.resources.bodies import CreateBody, read_create
from halley.api.resources.create_answers import location
from halley.api.resources.idempotency import HEADER, REPLAYED, digest_head, read_key
from halley.api.resources.predictions import path_id
from halley.assets.inline import check_data_urls
from halley.clock import rfc3339
from halley.errors import Overloaded
from halley.predictions.ports import Created
from halley.predictions.repeats import IdempotencyKey
from halley.predictions.reruns import Relation

_Changes = Mapping[str, msgspec.Raw]
_WHAT: Final = "rerun"


class _Body(msgspec.Struct):
    input: msgspec.Raw = msgspec.Raw(b"{}")


_body: Final = msgspec.json.Decoder(_Body).decode
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


async def rerun(call: Call, parts: ApiContext) -> Response:
    """201 with a new prediction, linked to the one in the path. A key that may not read would see another's input."""
    require_read(call)
    if parts.is_draining:
        raise Overloaded("The server is stopping and accepts no new predictions.")
    prediction_id = path_id(call.params[0], "prediction")
    asked = (_WHAT, prediction_id)
    body = await read_create(call, parts, lambda: digest_head(asked) if HEADER in call.headers else None)
    changes = _changes(body, parts)
    idempotency = read_key(call, parts, asked, body)
    run = partial(_run, call, parts, prediction_id, changes)
    if idempotency is None:
        return _answer(call, parts, await run(None))
    used = call.scope[ATTEMPT_KEY] = parts.repeats.use_key(call.account_id, idempotency.key)
    with used:
        return used.until_answered(_answer(call, parts, await run(idempotency)))


async def _run(
    call: Call, parts: ApiContext, prediction_id: str, changes: _Changes, idempotency: IdempotencyKey | None
) -> Created:
    if idempotency is not None:  # the earlier answer, even if what it ran again was removed since
        earlier = await parts.predictions.made_under(call.account_id, idempotency)
        if earlier is not None:
            return Created(prediction=earlier, replayed=True)
    return await parts.reruns.rerun(
        prediction_id,
        call.account_id,
        call.identity.key.id,
        changes=changes,
        link_base=call.variant.link_base,
        idempotency=idempotency,
    )


def _answer(call: Call, parts: ApiContext, created: Created) -> Response:
    row = created.prediction
    headers = [location(call.variant, row.id), *([REPLAYED] if created.replayed else [])]
    return json_response(parts.presenter.json(row, call.variant), 201, headers)


def _changes(body: CreateBody, parts: ApiContext) -> _Changes:
    """The inputs to change, as they were sent.

    Raises:
        InputInvalid: `input` is not an object.
        TooLarge: a `data:` input is over its limit.
    """
    outline = body.outline
    if outline is not None and outline.input_kind == "object":
        return _members(body.raw[outline.start : outline.end])
    given = body.members.get("input")
    if given is None and (outline is None or outline.input_kind == "absent"):
        return {}
    if not isinstance(given, dict):
        raise invalid("type", "input", "must be an object with the inputs to change")
    raw = bytes(_body(body.raw).input)
    if len(raw) > parts.limits.inline_data_bytes:
        check_data_urls(given, len(raw), parts.limits.inline_data_bytes)
    return _members(raw)


async def related(call: Call, parts: ApiContext) -> Response:
    """What the prediction is linked to, on one page."""
    found = await parts.reruns.related(path_id(call.params[0], "prediction"), call.account_id)
    return json_response(encode(RelatedPage(results=[_shown(call, one) for one in found])))


def _shown(call: Call, one: Relation) -> RelatedPrediction:
    row = one.prediction
    return RelatedPrediction(
        relation=one.kind,
        how=one.how,
        at=rfc3339(one.at),
        id=row.id,
        model=row.model,
        status=(row.status if call.variant.expose_aborted else OFFICIAL[row.status]).value,
        created_at=rfc3339(row.created_at),
        url=f"{call.variant.base}/predictions/{row.id}",
    )
