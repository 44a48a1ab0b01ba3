"""Bytes behind signed links: output files and downloads of uploads. No key is asked, one that comes is ignored.

Answered with 200 and the bytes, never with a redirect: one client would fail, and send its key to another host.
Source: contract sections 0.6, 0.7, 13.3 and 14.
"""

from collections.abc import AsyncGenerator
from typing import Final

from halley.api.asgi import Answer, Call
from halley.api.parts import Parts
from halley.assets.content import Plan, plan
from halley.assets.links import check_download
from halley.errors import Forbidden, NotFound

_GONE: Final = "This file does not exist, or not any more. Read the prediction again to get a fresh link."

_NO_CHUNKS: Final[tuple[bytes, ...]] = ()


async def output_file(call: Call, parts: Parts) -> Answer:
    """Row 39: one output file. The name at the end of the path is for the reader's copy only."""
    delivery = parts.links.verify(call.params[0])
    row = await parts.predictions.find(delivery.prediction_id)
    if row is None or row.data_removed_at is not None:
        raise NotFound(_GONE)
    files = (await parts.predictions.filled(row)).files
    file = next((file for file in files if file.index == delivery.index), None)
    if file is None:
        raise NotFound(_GONE)
    max_age = delivery.expires_at - int(parts.clock.now().timestamp())
    planned = plan(
        name=file.name,
        content_type=file.content_type,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        max_age_seconds=max_age,
        range_header=call.header(b"range"),
        if_range=call.header(b"if-range"),
        if_none_match=call.header(b"if-none-match"),
    )
    return await _answer(parts, file.sha256, planned)


async def download(call: Call, parts: Parts) -> Answer:
    """Row 37: an uploaded file, by the signature in the query. Wrong or expired is 403."""
    query = call.query()
    file_id, now = call.params[0], parts.clock.now()
    expiry = query.get("expiry", "")
    if not (expiry.isascii() and expiry.isdigit() and len(expiry) < 16):
        raise Forbidden("The download link has no valid `expiry`.")
    check_download(
        parts.download_secret,
        owner=query.get("owner", ""),
        file_id=file_id,
        expiry=int(expiry),
        signature=query.get("signature", ""),
        now=now,
    )
    file = await parts.files.get_signed(file_id)
    planned = plan(
        name=file.name,
        content_type=file.content_type,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        max_age_seconds=int(min(int(expiry), file.expires_at.timestamp()) - now.timestamp()),
        attachment=True,
        range_header=call.header(b"range"),
        if_range=call.header(b"if-range"),
        if_none_match=call.header(b"if-none-match"),
    )
    return await _answer(parts, file.sha256, planned)


async def _answer(parts: Parts, sha256: str, planned: Plan) -> Answer:
    if not await parts.blobs.exists(sha256):
        raise NotFound(_GONE)  # once the headers are out it would be too late to say so
    headers = [(name.encode(), value.encode("latin-1")) for name, value in planned.headers]
    chunks = parts.blobs.open(sha256, planned.start, planned.end) if planned.end > planned.start else _nothing()
    return Answer(status=planned.status, headers=headers, chunks=chunks)


async def _nothing() -> AsyncGenerator[bytes, None]:
    for chunk in _NO_CHUNKS:
        yield chunk
