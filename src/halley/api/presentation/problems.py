"""Converts errors to answers: one table from our errors to a status and a title.

Source: contract section 4; RFC 9457.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from halley.api.http.asgi import Headers, Response
from halley.errors import (
    AddressRefused,
    BadRequest,
    BodiesFull,
    Busy,
    Conflict,
    CreateInFlight,
    DutyLost,
    EncodingUnsupported,
    FetchFailed,
    Forbidden,
    HalleyError,
    InputInvalid,
    InvalidField,
    KeyReused,
    LeaseLost,
    ModelBroken,
    NotAuthenticated,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    ProviderBusy,
    QueueFull,
    Refused,
    StorageFull,
    SubmitLimitReached,
    SubmitRefused,
    TooLarge,
    Unusable,
    VersionUnknown,
    WrongState,
)


class Problem(msgspec.Struct, kw_only=True):
    """A refusal in RFC 9457's form; `detail` is always text."""

    title: str
    detail: str
    status: int
    instance: str | UnsetType = UNSET
    invalid_fields: list[InvalidField] | UnsetType = UNSET
    retry_after: int | UnsetType = UNSET


PROBLEM: Final = (b"content-type", b"application/problem+json")

STATUS: Final[dict[type[HalleyError], tuple[HTTPStatus, str]]] = {
    BadRequest: (HTTPStatus.BAD_REQUEST, "Bad request"),
    EncodingUnsupported: (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Unsupported media type"),
    InputInvalid: (HTTPStatus.UNPROCESSABLE_ENTITY, "Input validation failed"),
    VersionUnknown: (HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid version or not permitted"),
    AddressRefused: (HTTPStatus.UNPROCESSABLE_ENTITY, "Address not allowed"),
    NotAuthenticated: (HTTPStatus.UNAUTHORIZED, "Unauthenticated"),
    Forbidden: (HTTPStatus.FORBIDDEN, "Forbidden"),
    NotFound: (HTTPStatus.NOT_FOUND, "Not found"),
    Conflict: (HTTPStatus.CONFLICT, "Conflict"),
    CreateInFlight: (HTTPStatus.CONFLICT, "Create in flight"),
    KeyReused: (HTTPStatus.UNPROCESSABLE_ENTITY, "Idempotency key reused"),
    WrongState: (HTTPStatus.CONFLICT, "Conflict"),
    TooLarge: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Payload too large"),
    SubmitLimitReached: (HTTPStatus.PAYMENT_REQUIRED, "Submit limit reached"),
    SubmitRefused: (HTTPStatus.UNPROCESSABLE_ENTITY, "Refused"),
    Refused: (HTTPStatus.UNPROCESSABLE_ENTITY, "Refused"),
    QueueFull: (HTTPStatus.TOO_MANY_REQUESTS, "Too many requests"),
    BodiesFull: (HTTPStatus.TOO_MANY_REQUESTS, "Too many requests"),
    Overloaded: (HTTPStatus.SERVICE_UNAVAILABLE, "Service unavailable"),
    ProviderBusy: (HTTPStatus.SERVICE_UNAVAILABLE, "Service unavailable"),
    StorageFull: (HTTPStatus.SERVICE_UNAVAILABLE, "Service unavailable"),
    Busy: (HTTPStatus.SERVICE_UNAVAILABLE, "Service unavailable"),
    ModelBroken: (HTTPStatus.SERVICE_UNAVAILABLE, "Model broken"),
    OutcomeUnknown: (HTTPStatus.BAD_GATEWAY, "Bad gateway"),
    FetchFailed: (HTTPStatus.BAD_GATEWAY, "Bad gateway"),
    DutyLost: (HTTPStatus.SERVICE_UNAVAILABLE, "Service unavailable"),
    LeaseLost: (HTTPStatus.SERVICE_UNAVAILABLE, "Service unavailable"),
    Unusable: (HTTPStatus.SERVICE_UNAVAILABLE, "Service unavailable"),
}
_INTERNAL: Final = "Something went wrong inside the server; its log has the details under this request id."
_FINAL: Final = (b"x-should-retry", b"false")


def problem_of(error: HalleyError, request_id: str) -> Response:
    """The answer for one of our errors."""
    found = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), None)
    if found is None:
        return internal_problem(request_id, is_create=False)
    status, title = found
    headers: Headers = []
    problem = Problem(title=title, detail=str(error) or title, status=status, instance=_instance(request_id))
    if isinstance(error, InputInvalid):
        problem.invalid_fields = list(error.fields)
    if isinstance(error, Busy):
        problem.retry_after = max(1, error.retry_after_seconds)
        headers.append((b"retry-after", str(problem.retry_after).encode()))
    if isinstance(error, ModelBroken):
        headers.append(_FINAL)  # it must be repaired first, at an unknown time
    if status is HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        headers.append((b"accept-encoding", b"identity"))
    if status is HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    return _answer(problem, headers)


def internal_problem(request_id: str, *, is_create: bool) -> Response:
    """The answer for an internal error. After a create it says not to retry: it may have been stored."""
    problem = Problem(title="Internal server error", detail=_INTERNAL, status=500, instance=_instance(request_id))
    return _answer(problem, [_FINAL] if is_create else [])


def unknown_path(request_id: str, why: str = "") -> Response:
    """404 for a path without a route; `why` gives the reason if the contract has the path."""
    detail = why or "There is nothing at this path. The API is under /v1; its description is at /v1/openapi.json."
    return _answer(Problem(title="Not found", detail=detail, status=404, instance=_instance(request_id)), [])


def method_not_allowed(request_id: str, allow: bytes, why: str = "") -> Response:
    """405 with `Allow`, for a method that the path does not serve; `why` gives the reason if the contract has it."""
    detail = f"{why} This path allows {allow.decode()}.".lstrip()
    problem = Problem(title="Method not allowed", detail=detail, status=405, instance=_instance(request_id))
    return _answer(problem, [(b"allow", allow)])


def broken_request(status: HTTPStatus, title: str, detail: str) -> bytes:
    """The body for input that was not a valid request (the parser or a limit refused it)."""
    return msgspec.json.encode(Problem(title=title, detail=detail, status=status))


def invalid(kind: str, field: str, description: str) -> InputInvalid:
    """An error with one fault of a request."""
    return InputInvalid((InvalidField(type=kind, field=field, description=description),))


def all_invalid(faults: Sequence[InvalidField]) -> None:
    """Raise if there are faults.

    Raises:
        InputInvalid: with all of them.
    """
    if faults:
        raise InputInvalid(tuple(faults))


def _answer(problem: Problem, headers: Headers) -> Response:
    # one client repeats 409 and every 5xx unless the header forbids it (contract section 5)
    if 400 <= problem.status < 500 and problem.status not in (408, 429):
        headers = [*headers, _FINAL]
    return Response(status=problem.status, headers=[PROBLEM, *headers], body=msgspec.json.encode(problem))


def _instance(request_id: str) -> str:
    return f"urn:request:{request_id}"
