"""Creates predictions, once each. Source: contract sections 5 and 6, and 17, D10."""

import logging
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Final, NamedTuple

import msgspec

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Headers, Response, Variant, json_response
from halley.api.presentation.preferences import applied, cancel_abandoned, cancel_after_seconds, wait_seconds
from halley.api.presentation.present import encode
from halley.api.repeats import ATTEMPT_KEY, COUNTED_SECONDS, CreateAttempt, may_answer
from halley.api.resources.bodies import create_request, read_create
from halley.api.resources.idempotency import HEADER, REPLAYED, digest_head, read_key
from halley.api.waiting.conditions import Until
from halley.api.waiting.hold import Hold, Snapshot
from halley.errors import HalleyError, NotAuthenticated, NotFound, Overloaded, VersionUnknown
from halley.keys.records import Scope
from halley.predictions.records import Prediction
from halley.predictions.repeats import How, IdempotencyKey
from halley.predictions.service import CreateRequest
from halley.predictions.status import Status

_log: Final = logging.getLogger(__name__)
_COUNT: Final = b"x-stainless-retry-count"
_IN_TASK_SECONDS: Final = 1.0
_KEPT_INPUT_BYTES: Final = 64 * 1024
_NO_HOLD: Final = nullcontext[Hold | None]()


class _CreateOptions(NamedTuple):
    """The options of a create: how long it waits for the end, and whether abandoned work is canceled."""

    request: CreateRequest
    wait: float | None
    abandoned: bool | None

    def applied(self) -> Headers:
        """The header with the applied preferences."""
        return [] if self.wait is None and self.abandoned is None else [applied(self.wait, abandoned=self.abandoned)]


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
        cancel_abandoned=call.identity.key.options.cancel_abandoned if abandoned is None else abandoned,
    )
    parts.ignored_members.note(body.members, path_names_model=reference is not None)
    options = _CreateOptions(request, wait, abandoned)
    idempotency = read_key(call, parts, (reference, cancel_after), body)
    if idempotency is not None:
        used = call.scope[ATTEMPT_KEY] = parts.repeats.use_key(call.account_id, idempotency.key)
        with used:
            return used.until_answered(await _under_key(call, parts, options, idempotency))
    asked = (call.identity.key.id, reference, cancel_after)
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
                return await _first_answer(call, parts, created.prediction, options, hold)
        earlier = created.prediction
    parts.replayed["idempotency_key"] += 1
    return await _later_answer(call, parts, earlier, options)


async def _new_or_repeated(call: Call, parts: ApiContext, options: _CreateOptions, attempt: CreateAttempt) -> Response:
    identity, predictions = call.identity, parts.predictions
    if parts.repeats.may_repeat(attempt):
        earlier = await _earlier(call, parts, options.request, attempt)
        if earlier is not None:
            return await _later_answer(call, parts, await _noted(call, parts, earlier, attempt), options)
    prediction_id = predictions.reserve_id()
    attempt.claim(prediction_id)
    with _hold(call, parts, prediction_id, options) as hold:
        created = await predictions.create(
            options.request, identity.account.id, identity.key.id, prediction_id=prediction_id
        )
        _end_turn(call)
        attempt.settle(prediction_id)
        return await _first_answer(call, parts, created.prediction, options, hold)


def _end_turn(call: Call) -> None:
    if call.held_body is not None:
        call.held_body.end_turn()


def _count(call: Call) -> int | None:
    """How many tries the client says it has made before this one; None if it does not count."""
    text = call.headers.get(_COUNT)
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


async def _first_answer(
    call: Call, parts: ApiContext, created: Prediction, options: _CreateOptions, hold: Hold | None
) -> Response:
    """The answer to a create that is stored already: from here on no error may look like a failed create."""
    headers = [_location(call, created), *options.applied()]
    if options.wait is None or hold is None:
        return json_response(encode(parts.presenter.prediction(created, call.variant)), 201, headers)
    return await _waited(call, parts, created, options.wait, hold, headers)


async def _later_answer(call: Call, parts: ApiContext, earlier: Prediction, options: _CreateOptions) -> Response:
    """The answer to a repeated create: what the first would get if it were answered now."""
    headers = [_location(call, earlier), *options.applied(), REPLAYED]
    shown = _as_created(earlier)
    with _hold(call, parts, earlier.id, options) as hold:
        row = await parts.predictions.row(earlier.id, earlier.account_id)
        if row.is_terminal or options.wait is None or hold is None:
            return await _in_time(parts, shown, call.variant, headers, Snapshot(row, 0), unfinished=201)
        return await _waited(call, parts, shown, options.wait, hold, headers)


async def _waited(
    call: Call, parts: ApiContext, created: Prediction, wait: float, hold: Hold, headers: Headers
) -> Response:
    # a large input is not kept in memory during a wait: it is read again for the answer
    is_whole = len(created.input) <= _KEPT_INPUT_BYTES
    created = created if is_whole else msgspec.structs.replace(created, input=b"{}")
    tell = partial(_in_time, parts, created, call.variant, headers, is_whole=is_whole)
    try:
        hold.expect(created, Until.END, tell, seconds=wait, carrier=(call.identity.key.id, Scope.WRITE))
        # most predictions end within this second: a waiting task then costs less than parking the request
        found = await hold.found_within(_IN_TASK_SECONDS)
        if found is None and not hold.is_gone:
            return hold.later()
        return await tell(found or Snapshot(created, 0))
    except Exception as error:  # noqa: BLE001  # the create is stored, even if the wait failed
        return await tell(error)


async def _in_time(
    parts: ApiContext,
    created: Prediction,
    variant: Variant,
    headers: Headers,
    found: Snapshot | Exception,
    *,
    unfinished: int = 202,
    is_whole: bool = True,
) -> Response:
    try:
        if isinstance(found, Snapshot) and found.row.is_terminal:
            return json_response(await parts.presenter.encoded(found.row, variant), 201, headers)
        if isinstance(found, Exception) and not isinstance(found, NotAuthenticated):
            raise found
    except Exception:  # noqa: BLE001  # the create is stored
        _log.exception("prediction %s is stored, but waiting for it failed", created.id)
    # the time is over: send the state at creation, since clients take any other for the end (contract 0.1)
    if not is_whole:
        created = await _read_again(parts, created)
    return json_response(encode(parts.presenter.prediction(created, variant)), unfinished, headers)


async def _read_again(parts: ApiContext, created: Prediction) -> Prediction:
    try:
        return _as_created(await parts.predictions.row(created.id, created.account_id))
    except HalleyError as error:  # an answer without its input is better than none
        _log.warning("prediction %s is stored, but cannot be read for its answer: %s", created.id, error)
        return created


def _as_created(row: Prediction) -> Prediction:
    """The row as it was at its creation: the answer to a create shows this until the prediction has ended.

    Clients take any other status for the end, and an existing output for complete (contract 0.1 and 0.2).
    """
    return msgspec.structs.replace(
        row,
        status=Status.STARTING,
        started_at=None,
        completed_at=None,
        output=None,
        files=(),
        logs="",
        error=None,
        metrics={},
        termination_reason=None,
    )


def _location(call: Call, created: Prediction) -> tuple[bytes, bytes]:
    return b"location", f"{call.variant.base}/predictions/{created.id}".encode()
