"""Creates predictions, once each. Source: contract sections 5 and 6, and 17, D10."""

import logging
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Final, NamedTuple

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Headers, Response, json_response
from halley.api.presentation.preferences import applied, cancel_abandoned, cancel_after_seconds, wait_seconds
from halley.api.repeats import ATTEMPT_KEY, COUNTED_SECONDS, CreateAttempt, may_answer
from halley.api.resources.bodies import create_request, read_create
from halley.api.resources.create_answers import KEPT_INPUT_BYTES, CreateAnswer, as_created, location
from halley.api.resources.idempotency import HEADER, REPLAYED, digest_head, read_key
from halley.api.resources.pending_create import PendingCreate
from halley.api.waiting.hold import Carrier, Hold, Snapshot
from halley.errors import HalleyError, NotFound, Overloaded, VersionUnknown
from halley.keys.records import Scope
from halley.predictions.records import Prediction
from halley.predictions.repeats import How, IdempotencyKey
from halley.predictions.service import CreateRequest

_log: Final = logging.getLogger(__name__)
COUNT: Final = b"x-stainless-retry-count"
UNCHECKED: Final = (b"x-halley-inputs", b"unchecked")
PASSED: Final = (b"x-halley-outputs", b"passed")
_NO_HOLD: Final = nullcontext[Hold | None]()


class _CreateOptions(NamedTuple):
    """The options of a create: how long it waits for the end, and whether abandoned work is canceled."""

    request: CreateRequest
    wait: float | None
    abandoned: bool | None

    def applied(self) -> Headers:
        """The header with the applied preferences."""
        return applied_headers(self.wait, self.abandoned)


def applied_headers(wait: float | None, abandoned: bool | None) -> Headers:
    """The header with the applied preferences, if there are any."""
    return [] if wait is None and abandoned is None else [applied(wait, abandoned=abandoned)]


async def create(call: Call, parts: ApiContext) -> Response:
    """Row 1: the body names the version."""
    return await _create(call, parts, None)


async def create_for_model(call: Call, parts: ApiContext) -> Response:
    """Row 5: the path names the model."""
    owner, name = call.params
    try:
        return await _create(call, parts, f"{owner}/{name}")
    except VersionUnknown as error:
        raise NotFound(f"There is no model {owner[:100]}/{name[:100]} on this server.") from error


async def _create(call: Call, parts: ApiContext, reference: str | None) -> Response:
    if parts.is_draining:
        raise Overloaded("The server is stopping and accepts no new predictions.")
    key = call.identity.key
    body = await read_create(call, parts, partial(_digest_head, call, reference))
    prefer = call.joined(b"prefer")
    wait, abandoned = wait_seconds(prefer, parts.limits.wait_create_max_seconds), cancel_abandoned(prefer)
    cancel_after = cancel_after_seconds(call.header(b"cancel-after"))
    request = create_request(
        body,
        parts.limits,
        variant=call.variant,
        url_fault=parts.webhooks.fault,
        reference=reference,
        cancel_after=cancel_after,
        with_wait=wait is not None,
        cancel_abandoned=key.options.cancel_abandoned if abandoned is None else abandoned,
    )
    parts.ignored_members.note(body.members, path_names_model=reference is not None)
    options = _CreateOptions(request, wait, abandoned)
    idempotency = read_key(call, parts, (reference, cancel_after), body)
    if idempotency is not None:
        used = call.scope[ATTEMPT_KEY] = parts.repeats.use_key(call.account_id, idempotency.key)
        with used:
            return used.until_answered(await _under_key(call, parts, options, idempotency))
    asked = (key.id, reference, cancel_after)
    sent = body.raw if body.outline is None else body.outline.body_digest
    del body  # a large body is kept once, as the input
    attempt = parts.repeats.begin(asked=asked, body=sent, count=_count(call), begun_at=call.started_at)
    call.scope[ATTEMPT_KEY] = attempt
    with attempt:
        return attempt.until_answered(await _new_or_repeated(call, parts, options, attempt))


def _digest_head(call: Call, reference: str | None) -> bytes | None:
    """The beginning of this create's digest, if it has an idempotency key."""
    if HEADER not in call.headers:
        return None
    return digest_head((reference, cancel_after_seconds(call.header(b"cancel-after"))))


async def _under_key(call: Call, parts: ApiContext, options: _CreateOptions, idempotency: IdempotencyKey) -> Response:
    identity, predictions = call.identity, parts.predictions
    earlier = await predictions.made_under(identity.account.id, idempotency)
    if earlier is None:
        prediction_id = predictions.reserve_id()
        with _hold(call, parts, prediction_id, options) as hold:
            created = await predictions.create(
                options.request,
                identity.account.id,
                identity.key.id,
                idempotency=idempotency,
                prediction_id=prediction_id,
            )
            _end_turn(call)
            if not created.replayed:
                return _first_answer(call, parts, created.prediction, options, hold)
        earlier = created.prediction
    parts.replayed["idempotency_key"] += 1
    return await _later_answer(call, parts, earlier, options)


async def _new_or_repeated(call: Call, parts: ApiContext, options: _CreateOptions, attempt: CreateAttempt) -> Response:
    identity, predictions = call.identity, parts.predictions
    if parts.repeats.may_repeat(attempt.count, attempt.begun_at):
        earlier = await _earlier(call, parts, options.request, attempt)
        if earlier is not None:
            return await _later_answer(call, parts, await _noted(call, parts, earlier, attempt), options)
    prediction_id = predictions.reserve_id()
    attempt.claim(prediction_id)
    if len(options.request.input_json) <= KEPT_INPUT_BYTES:  # a larger body counts until it is stored
        pending = await predictions.submit(
            options.request, identity.account.id, identity.key.id, prediction_id=prediction_id
        )
        return PendingCreate(
            parts,
            attempt,
            prediction_id,
            variant=call.variant,
            applied=[*options.applied(), *_remarks(parts, options.request)],
            seconds=options.wait,
            carrier=_carrier(call),
        ).until_stored(pending)
    with _hold(call, parts, prediction_id, options) as hold:
        created = await predictions.create(
            options.request, identity.account.id, identity.key.id, prediction_id=prediction_id
        )
        _end_turn(call)
        attempt.settle(prediction_id)
        return _first_answer(call, parts, created.prediction, options, hold)


def _remarks(parts: ApiContext, request: CreateRequest) -> Headers:
    """What is said about a model elsewhere: its inputs cannot be checked here, because its service gives no schema; its
    outputs keep the links of the service.
    """
    try:
        runnable = parts.catalog.resolve(request.reference)
    except HalleyError:  # it was removed in this moment
        return []
    remarks = [] if runnable.is_checked else [UNCHECKED]
    return [*remarks, PASSED] if parts.upstreams.passes_links(runnable.version.model) else remarks


def _end_turn(call: Call) -> None:
    if call.held_body is not None:
        call.held_body.end_turn()


def _count(call: Call) -> int | None:
    """How many tries the client says it has made before this one; None if it does not count."""
    text = call.headers.get(COUNT)
    return int(text) if text is not None and text.isdigit() and len(text) < 5 else None


async def _earlier(call: Call, parts: ApiContext, request: CreateRequest, attempt: CreateAttempt) -> Prediction | None:
    """The prediction that this create repeats, claimed for its answer."""
    identity, repeats = call.identity, parts.repeats
    prediction_id = await repeats.dropped(attempt)
    if prediction_id is not None:
        attempt.claim(prediction_id)
        row = await parts.predictions.row(prediction_id, identity.account.id)
        if may_answer(row):
            attempt.settle(prediction_id)
            return row
    if not repeats.is_counted(attempt):
        return None
    equal = await parts.predictions.equal_creates(request, identity.account.id, identity.key.id, COUNTED_SECONDS)
    prediction_id = repeats.counted(attempt, equal)
    if prediction_id is None:
        return None
    attempt.claim(prediction_id)  # nothing was awaited since it was chosen: no other repeat can have claimed it
    attempt.settle(prediction_id)
    return await parts.predictions.row(prediction_id, identity.account.id)


async def _noted(call: Call, parts: ApiContext, earlier: Prediction, attempt: CreateAttempt) -> Prediction:
    """Record the repeat: in the prediction, in the counts, in the log."""
    how: How = "dropped_connection" if attempt.count is None else "retry_counter"
    parts.replayed[how] += 1
    _log.info("request %s repeats the create of prediction %s (%s)", call.request_id, earlier.id, how)
    try:
        return await parts.predictions.note_repeat(earlier.id, how) or earlier
    except HalleyError as error:  # the answer is more important than this record
        _log.warning("the repeated create of prediction %s could not be noted: %s", earlier.id, error)
        return earlier


def _hold(
    call: Call, parts: ApiContext, prediction_id: str, options: _CreateOptions
) -> AbstractContextManager[Hold | None]:
    """The hold of a create that waits; entered before it is stored or read, so that no change is missed."""
    return _NO_HOLD if options.wait is None else parts.hub.enter(prediction_id, call.scope)


def _first_answer(
    call: Call, parts: ApiContext, created: Prediction, options: _CreateOptions, hold: Hold | None
) -> Response:
    """The answer to a create that is stored already: from here on no error may look like a failed create."""
    headers = [location(call.variant, created.id), *options.applied(), *_remarks(parts, options.request)]
    if options.wait is None or hold is None:
        return json_response(parts.presenter.json(created, call.variant), 201, headers)
    answer = CreateAnswer(parts, created, call.variant, headers)
    return answer.expect_end(hold, options.wait, _carrier(call)).later()


async def _later_answer(call: Call, parts: ApiContext, earlier: Prediction, options: _CreateOptions) -> Response:
    """The answer to a repeated create: what the first would get if it were answered now."""
    headers = [location(call.variant, earlier.id), *options.applied(), REPLAYED]
    answer = CreateAnswer(parts, as_created(earlier), call.variant, headers)
    with _hold(call, parts, earlier.id, options) as hold:
        row = await parts.predictions.row(earlier.id, earlier.account_id)
        if row.is_terminal or options.wait is None or hold is None:
            return await answer(Snapshot(row, 0), unfinished=201)
        return answer.expect_end(hold, options.wait, _carrier(call)).later()


def _carrier(call: Call) -> Carrier:
    return call.identity.key.id, Scope.WRITE
