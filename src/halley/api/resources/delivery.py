"""Serves the bytes behind signed links: output files and downloads of uploads. Keys are not needed, and ignored if
sent.

With `quirks.output_links_need_key` output files also need a key of their account (contract section 17, D6).

The answer is 200 with the bytes, never a redirect: one client fails on a redirect, and sends its key to the other host.
Source: contract sections 0.6, 0.7, 13.3 and 14.
"""

import os
from collections.abc import AsyncGenerator
from typing import Final

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Response
from halley.api.http.sendfile import FileSlice
from halley.assets.content import Conditions, ContentPlan, plan
from halley.assets.links import check_download
from halley.assets.ports import StoredFile
from halley.errors import Forbidden, NotFound
from halley.predictions.records import OutputFile

GONE: Final = "This file does not exist, or was removed. Read the prediction again to get a fresh link."

_NO_CHUNKS: Final[tuple[bytes, ...]] = ()


async def output_file(call: Call, parts: ApiContext) -> Response:
    """Row 39: one output file. The last part of the path only suggests a file name to the client."""
    capability, now = call.params[0], parts.clock.monotonic()
    if parts.settings.quirks.output_links_need_key:
        return await _own_output_file(call, parts, capability)
    known = parts.delivered.fresh(capability, now)
    if known is None:
        delivery = parts.links.verify(capability)
        changes = parts.delivered.changes
        file = await parts.predictions.output_file(delivery.prediction_id, delivery.index)
        if file is None:
            raise NotFound(GONE)
        if changes == parts.delivered.changes:  # otherwise it may have been removed since it was read
            parts.delivered.put(capability, delivery, file, now)
    else:
        delivery, file = known
        if delivery.expires_at <= parts.clock.now().timestamp():
            raise NotFound(GONE)
    return await file_answer(call, parts, file, delivery.expires_at)


async def _own_output_file(call: Call, parts: ApiContext, capability: str) -> Response:
    delivery = parts.links.verify(capability)
    file = await parts.predictions.output_file(
        delivery.prediction_id, delivery.index, account_id=call.identity.account.id
    )
    if file is None:
        raise NotFound(GONE)
    return await file_answer(call, parts, file, None)


async def download(call: Call, parts: ApiContext) -> Response:
    """Row 37: an uploaded file, by the signature in the query. 403 if it is wrong or expired."""
    query = call.query()
    file_id = call.params[0]
    expiry = query.get("expiry", "")
    if not (expiry.isascii() and expiry.isdigit() and len(expiry) < 16):
        raise Forbidden("The download link has no valid `expiry`.")
    check_download(
        parts.download_secret,
        owner=query.get("owner", ""),
        file_id=file_id,
        expiry=int(expiry),
        signature=query.get("signature", ""),
        now=parts.clock.now(),
    )
    file = await parts.files.get_signed(file_id)
    return await file_answer(call, parts, file, min(int(expiry), file.expires_at.timestamp()), attachment=True)


async def file_answer(
    call: Call, parts: ApiContext, file: OutputFile | StoredFile, ends_at: float | None, *, attachment: bool = False
) -> Response:
    """The bytes of a file; `ends_at` is when the link expires, in Unix seconds; None if a key is needed as well."""
    planned = plan(
        name=file.name,
        content_type=file.content_type,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        max_age_seconds=None if ends_at is None else int(ends_at - parts.clock.now().timestamp()),
        attachment=attachment,
        conditions=_conditions(call),
    )
    answer = Response(
        status=planned.status,
        headers=[(name.encode(), value.encode("latin-1")) for name, value in planned.headers],
        chunks=_nothing(),
    )
    await _fill(answer, parts, file, planned)
    return answer


async def _fill(answer: Response, parts: ApiContext, file: OutputFile | StoredFile, planned: ContentPlan) -> None:
    """Add the bytes. The file is opened now, because after the headers an error can no longer be reported."""
    found = parts.blobs.descriptor(file.sha256)
    if found is None:
        if not await parts.blobs.exists(file.sha256):
            raise NotFound(GONE)
        if planned.start < planned.end:
            answer.chunks = parts.blobs.open(file.sha256, planned.start, planned.end)
        return
    body = FileSlice(found, planned.start, planned.end)
    size_bytes = os.fstat(found).st_size
    if size_bytes == file.size_bytes and body.is_unsent:
        answer.file = body
        return
    body.close()
    if size_bytes != file.size_bytes:
        raise OSError(f"the blob {file.sha256} has {size_bytes} bytes, but {file.size_bytes} were stored")


def _conditions(call: Call) -> Conditions:
    return Conditions(
        # a range has no meaning for HEAD (RFC 9110, 14.2)
        range_header=call.header(b"range") if call.method == "GET" else None,
        if_range=call.header(b"if-range"),
        if_none_match=call.joined(b"if-none-match") or None,
        if_match=call.joined(b"if-match") or None,
    )


async def _nothing() -> AsyncGenerator[bytes, None]:
    for chunk in _NO_CHUNKS:
        yield chunk
