"""Continues a transfer that broke off: asks for the rest, and checks that the answer is the rest of the same body.

Source: RFC 9110, sections 8.8, 13.1.5 and 14.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

import anyio

from halley.assets.names import name_from_answer
from halley.assets.ports import Draft, Fetched
from halley.egress.body import FileSink
from halley.egress.errors import FetchFailed, TooLarge
from halley.egress.reading import read_body
from halley.egress.targets import EgressTarget

if TYPE_CHECKING:
    import httpcore2

_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII | re.IGNORECASE)
_SETTLED: Final = timedelta(seconds=60)  # a file that changed later than this before the answer may change again unseen


def continuation_headers(draft: Draft) -> tuple[tuple[str, str], ...]:
    """The headers that ask for the rest of the body, if its host has said how to recognise it."""
    if not draft.size_bytes or not draft.validator:
        return ()
    return ("range", f"bytes={draft.size_bytes}-"), ("if-range", draft.validator)


async def save_draft(
    response: "httpcore2.Response", headers: Mapping[str, str], target: EgressTarget, draft: Draft, limit_bytes: int
) -> Fetched:
    """Write the body, or the rest of it, to the draft. On an error the draft keeps what has arrived.

    Raises:
        TooLarge: the whole body is longer than `limit_bytes`.
        FetchFailed: there is no such body, or it broke off again.
    """
    if response.status == 206:
        _check_rest(headers, target, draft)
        if draft.total_bytes is not None and draft.total_bytes > limit_bytes:
            raise TooLarge(f"{target.shown} is larger than the limit of {limit_bytes} bytes.")
    elif response.status == 200:
        draft.begin(_validator(headers), _total(headers))
    else:
        if response.status == 416:
            draft.begin("", None)
        raise FetchFailed(f"{target.shown} answered {response.status}, not 200.", status=response.status)
    sink = await FileSink.at_end(draft.path, draft.size_bytes)
    try:
        await read_body(response, sink, target, limit_bytes, before_bytes=draft.size_bytes)
    finally:
        with anyio.CancelScope(shield=True):  # also what arrived before the deadline is kept
            draft.size_bytes += await sink.keep()
    if draft.total_bytes is not None and draft.size_bytes != draft.total_bytes:
        raise FetchFailed(f"{target.shown} sent {draft.size_bytes} bytes of {draft.total_bytes}.")
    return Fetched(
        path=draft.path,
        content_type=headers.get("content-type", "").partition(";")[0].strip().lower(),
        size_bytes=draft.size_bytes,
        file_name=name_from_answer(headers.get("content-disposition", ""), target.path),
    )


def _check_rest(headers: Mapping[str, str], target: EgressTarget, draft: Draft) -> None:
    """Raises:
    FetchFailed: it is not the rest of this body; the next try begins again.
    """
    found = _RANGE.fullmatch(headers.get("content-range", "").strip())
    total = None if found is None or found[3] == "*" else int(found[3])
    is_tag = draft.validator.startswith('"')
    shown = headers.get("etag" if is_tag else "last-modified", "").strip()
    is_rest = (
        bool(draft.size_bytes and draft.validator)  # else none was asked for
        and found is not None
        and int(found[1]) == draft.size_bytes
        and (total is None or (int(found[2]) < total == (draft.total_bytes or total)))
        and shown in ("", draft.validator)
    )
    if not is_rest:
        draft.begin("", None)
        raise FetchFailed(f"{target.shown} sent another part of the file than the rest of it.")
    draft.total_bytes = total or draft.total_bytes


def _validator(headers: Mapping[str, str]) -> str:
    """What recognises exactly these bytes: a strong ETag, or a time of change well before the answer."""
    if headers.get("accept-ranges", "").strip().lower() == "none":
        return ""
    tag = headers.get("etag", "").strip()
    if tag:
        return tag if len(tag) > 2 and tag.startswith('"') and tag.endswith('"') else ""
    try:
        changed = parsedate_to_datetime(headers["last-modified"])
        is_settled = parsedate_to_datetime(headers["date"]) - changed >= _SETTLED
    except (KeyError, ValueError, TypeError, OverflowError):
        return ""
    return headers["last-modified"] if is_settled else ""


def _total(headers: Mapping[str, str]) -> int | None:
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 19 else None
