"""Reads answers of a service, which may be anything: JSON, an envelope, HTML, nothing."""

import codecs
import json
import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Final

import msgspec
from anyio import to_thread

from halley.egress import EgressResponse
from halley.errors import TooLarge

_LARGE_BYTES: Final = 2**18
_MANY_COMMAS: Final = 4000  # as in `strict_json`: so many values are read in about 10 ms
_MOST_VALUES: Final = 2_000_000
_LONGEST_CHARS: Final = 100_000
_SHOWN_CHARS: Final = 500
_ERROR_CHARS: Final = 10_000  # of the error of a run; models on this machine have less
_LONGEST_NUMBER: Final = 300  # digits
_CHARSET: Final = re.compile(r"charset=\"?([\w.-]+)", re.IGNORECASE)
_SLOW_CODECS: Final = frozenset({"idna", "punycode"})  # no charsets: Python reads them in quadratic time
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")

Body = Mapping[str, Any]


async def read_object(response: EgressResponse, *, has_envelope: bool) -> Body | None:
    """See `read_json` and `object_of`."""
    return object_of(await read_json(response), has_envelope=has_envelope)


async def read_json(response: EgressResponse) -> Any:
    """The JSON value of an answer; None if it has none.

    Raises:
        TooLarge: it has so many values that reading it would block this server for seconds.
    """
    if not is_large(response):
        return _decoded(response)
    if response.body.count(b",") > _MOST_VALUES:  # also commas in texts; an image as a `data:` URL has one
        raise TooLarge(f"The answer has more than {_MOST_VALUES:,} values.")
    return await to_thread.run_sync(_decoded, response)


def object_of(found: Any, *, has_envelope: bool) -> Body | None:
    """The JSON object of an answer, with `has_envelope` the one inside its envelope; None if it has none."""
    if not isinstance(found, dict):
        return None
    data = found.get("data")
    if has_envelope and isinstance(data, dict) and "code" in found and "id" not in found:
        return data
    return found


def is_large(response: EgressResponse) -> bool:
    """Whether reading it takes long, so that it must not be read in the thread of the event loop."""
    return len(response.body) > _LARGE_BYTES or response.body.count(b",") > _MANY_COMMAS


def error_text(body: Body | None) -> str:
    """The error message in an answer, in one line; "" if there is none. It is shortened later, after tokens are
    removed.
    """
    if body is None:
        return ""
    error = body.get("error")
    inner = error if isinstance(error, dict) else {}
    candidates = (inner.get("message"), error, body.get("detail"), body.get("message"), body.get("title"))
    text = next((one for one in candidates if isinstance(one, str) and one.strip()), "")
    return _one_line(text[:_LONGEST_CHARS])


def error_code(body: Body | None) -> str:
    """The error's code in CometAPI's form, {"error": {"code"}} or {"code"}; "" if there is none."""
    error = {} if body is None else body.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    if code is None and body is not None:
        code = body.get("code")
    return code if isinstance(code, str) else ""


def plain(text: str) -> str:
    """Foreign text for a message: one line, without control characters, not long."""
    text = _one_line(text)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."


def error_of_run(text: str, clean: Callable[[str], str]) -> str:
    """The error of a run as it is, but not long: it is part of every answer with the prediction. `clean` takes our
    secrets out of a text.
    """
    text = clean(text[:_LONGEST_CHARS])
    return text if len(text) <= _ERROR_CHARS else f"{text[:_ERROR_CHARS]}... (cut)"


def _one_line(text: str) -> str:
    return _CONTROLS.sub(" ", text).strip()


def _decoded(response: EgressResponse) -> Any:
    body = response.body.removeprefix(b"\xef\xbb\xbf")
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        # another charset, NaN, half a surrogate pair: other clients read these
        text = body.decode(_charset(response), "replace")
        found = json.loads(text, parse_constant=lambda _: None, parse_float=_finite, parse_int=_not_long)
        return msgspec.json.decode(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, LookupError, RecursionError):
        return None


def _charset(response: EgressResponse) -> str:
    found = _CHARSET.search(response.headers.get("content-type", ""))
    return found[1] if found and codecs.lookup(found[1]).name not in _SLOW_CODECS else "utf-8"


def _finite(text: str) -> float | None:
    return number if isfinite(number := float(text)) else None


def _not_long(text: str) -> int | None:
    return int(text) if len(text) <= _LONGEST_NUMBER else None
