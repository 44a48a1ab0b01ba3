"""Reads the answers of servers: JSON, problem documents, CometAPI's envelope, and pages that are not from an API."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from halley.cli.failures import CommandError, ServerRefused, Unreachable
from halley.cli.screen import clean
from halley.strict_json import is_deeper

if TYPE_CHECKING:
    import httpx2

MAX_WAIT_SECONDS: Final = 60.0  # for a longer Retry-After the user decides
DEPTH_LIMIT: Final = 100  # of an answer; Halley's own answers nest a few levels more than an output, which may have 64
DIGITS: Final = 12  # of a Retry-After that is read
_WRONG_BASE: Final = "Check the server URL; some gateways need a path, such as https://host/replicate/v1."
_HINTS: Final = {
    401: "Pass --token, set HALLEY_TOKEN, or store a profile; `halley keys create` makes a key on your own server.",
    402: "A limit of costs is reached: that of the key, or what the server may submit to a service in a day.",
    403: "Use a key that has the required scope.",
    429: "Wait a little, then try again.",
}


def read_answer(response: httpx2.Response) -> Any:
    """Give the decoded JSON of a successful answer (None where there is no body).

    Raises:
        ServerRefused: the server refuses, in any of the documented forms.
        Unreachable: a redirect, a page, or another answer that does not come from a prediction API.
    """
    body = _decode(response)
    if response.is_redirect:
        where = response.headers.get("location", "elsewhere")
        raise Unreachable(
            f"{_place(response)} redirects to {where}. A prediction API does not do that.", hint=_WRONG_BASE
        )
    if response.is_success and body is None and response.content.strip():
        raise _no_api(response)
    if response.is_success and not _is_envelope(body):
        return body
    raise refusal(response, body)


def refusal(response: httpx2.Response, body: Any) -> CommandError:
    """Return the error that an error answer stands for."""
    status = response.status_code
    if _is_envelope(body):
        status, message = _read_envelope(status, body["error"])
    elif isinstance(body, dict):
        message = _read_problem(body)
    else:
        if status < 500:
            return _no_api(response)
        return Unreachable(f"{_place(response)} answered {status} {response.reason_phrase}.", hint="Try again later.")
    first, line_break, rest = (message or response.reason_phrase or "no reason given").partition("\n")
    words = f"{first.rstrip(':')} ({status} from {_place(response)}){':' if rest else ''}{line_break}{rest}"
    return ServerRefused(status, words, hint=_hint(status, response.request.url.path), body=body)


_MISSING: Final = {
    "/predictions/": "Check the id and the server; a key cannot see the predictions of another account.",
    "/upstreams/unknown/": "`halley upstreams unknown` lists the predictions that can be settled.",
    "/webhooks/deliveries/": "`halley webhooks deliveries` shows the ids.",
    "/bulk-actions/": "`halley predictions bulk` shows the ids.",
    "/files/": "`halley files list` shows the ids.",
    "/keys/": "`halley keys list` shows the ids.",
}
"""Where an id of a path can be found."""
_INPUT_OF: Final = re.compile(r"/models/([\w.-]+/[\w.-]+)/predictions$")


def _hint(status: int, path: str) -> str:
    if status == 422 and (model := _INPUT_OF.search(path)) is not None:
        return f"`halley models show {model[1]}` shows its inputs."
    if status != 404:
        return _HINTS.get(status, "")
    return next((hint for part, hint in _MISSING.items() if part in path), "")


def asked_seconds(response: httpx2.Response) -> float | None:
    """Return how long the server asks us to wait: the header (seconds or a date), otherwise the body's
    `retry_after`.
    """
    text = response.headers.get("retry-after", "").strip()
    if text.isdecimal() and len(text) <= DIGITS:
        return float(text)
    if text:
        return _until(text)
    body = _decode(response)
    asked = body.get("retry_after") if isinstance(body, dict) else None
    if isinstance(asked, int | float) and not isinstance(asked, bool) and 0 <= asked < 10**DIGITS:
        return float(asked)
    return None


def _until(date: str) -> float | None:
    import time
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _decode(response: httpx2.Response) -> Any:
    if is_deeper(response.content, DEPTH_LIMIT):
        return None  # too deep: code that shows or saves it would exceed the recursion limit
    try:
        return msgspec.json.decode(response.content) if response.content.strip() else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_loosely(response)


def _decode_loosely(response: httpx2.Response) -> Any:
    # Other servers send a byte order mark, another charset, NaN: Python's own parser accepts all of these.
    import json

    try:
        return json.loads(response.text.removeprefix("\ufeff"))
    except (ValueError, LookupError, RecursionError):
        return None


def _is_envelope(body: Any) -> bool:
    # A prediction has `error`, too: as text or null, and beside an id.
    return isinstance(body, dict) and isinstance(body.get("error"), dict) and "id" not in body


def _read_envelope(status: int, error: dict[str, Any]) -> tuple[int, str]:
    # CometAPI answers 500 with code invalid_request for a bad request (contract section 4).
    code = str(error.get("code") or "")
    if code == "invalid_request" and (status >= 500 or status < 400):
        status = 400
    message = str(error.get("message") or code)
    parameter = error.get("param")
    return (status if status >= 400 else 502), f"{message} [{parameter}]" if parameter else message


def _read_problem(body: dict[str, Any]) -> str:
    detail = body.get("detail") or body.get("message") or body.get("error") or ""
    text = detail if isinstance(detail, str) else msgspec.json.encode(detail).decode()
    title = body.get("title")
    lines = [line for line in text.strip().splitlines() if line.strip()]
    if isinstance(title, str) and title and len(lines) != 1:
        lines.insert(0, f"{title}:" if lines else title)
    return "\n  ".join(lines) if len(lines) > 1 else "".join(lines).removeprefix("- ")


def _no_api(response: httpx2.Response) -> Unreachable:
    kind = response.headers.get("content-type", "no type").split(";")[0]
    start = clean(" ".join(response.text[:80].split()))
    return Unreachable(
        f"{_place(response)} answered {response.status_code} with {kind} instead of JSON: {start!r}.", hint=_WRONG_BASE
    )


def _place(response: httpx2.Response) -> str:
    url = response.request.url
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}{url.path}"
