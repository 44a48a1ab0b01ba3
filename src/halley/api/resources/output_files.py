"""The files of a prediction's output: their records, and one of them with its input inside. An extension."""

from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final

import msgspec

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Response
from halley.api.presentation.paging import PageBody, read_whole_number
from halley.api.presentation.problems import invalid
from halley.api.presentation.wire.files import Checksums, OutputFileBody
from halley.api.resources.delivery import GONE, file_answer
from halley.api.resources.predictions import path_id
from halley.assets.content import plan
from halley.assets.embedding import PICTURE_BYTES, CannotCarry, InputNote, NoteTooLarge, embed
from halley.clock import rfc3339
from halley.errors import NotFound, TooLarge
from halley.predictions.records import OutputFile, Prediction

PAGE: Final = 100
MOST: Final = 1000
_INPUT: Final = "input"


async def list_all(call: Call, parts: ApiContext) -> Response:
    """The records, in the order of the output; those of a running prediction so far."""
    row = await _row(call, parts)
    query = call.query()
    after = read_whole_number(query, "after", 0)
    limit = min(MOST, max(1, read_whole_number(query, "limit", PAGE)))
    files = (await parts.predictions.filled(row)).files if row.data_removed_at is None else ()
    body = PageBody(parts.limits.page_bytes)
    for file in files[after : after + limit]:
        if not body.take(_shown(row, file, call, parts)):
            break
    position = after + len(body)
    following = f"{call.variant.base}/predictions/{row.id}/files?after={position}&limit={limit}"
    return body.answer(following if len(body) and position < len(files) else None, None)


async def get(call: Call, parts: ApiContext) -> Response:
    """The bytes of one file; with `embed=input` a copy of the picture that carries the prediction's input."""
    row = await _row(call, parts)
    files = (await parts.predictions.filled(row)).files if row.data_removed_at is None else ()
    number = call.params[1]
    file = next((file for file in files if str(file.index) == number), None)
    if file is None:
        raise NotFound(GONE)
    wanted = call.query().get("embed")
    if not wanted:
        return await file_answer(call, parts, file, None)
    if wanted != _INPUT:
        raise invalid("enum", "embed", f"the only supported value is {_INPUT}")
    return _picture(file, await _embedded(row, file, parts))


async def _embedded(row: Prediction, file: OutputFile, parts: ApiContext) -> bytes:
    if file.size_bytes > PICTURE_BYTES:
        raise TooLarge(f"The picture is larger than {PICTURE_BYTES} bytes, the most that gets an input embedded.")
    whole = await parts.predictions.get(row.id, row.account_id)
    note = InputNote(model=row.model, version=row.version, prediction=row.id, input=msgspec.Raw(whole.input))
    async with aclosing(parts.blobs.open(file.sha256)) as chunks:
        data = b"".join([chunk async for chunk in chunks])
    try:
        return embed(data, file.content_type, note)
    except NoteTooLarge as error:
        raise TooLarge(f"The input cannot be embedded: {error}.") from error
    except CannotCarry as error:
        raise invalid("embed", "embed", f"{file.name} cannot carry an input: {error}") from error


def _picture(file: OutputFile, data: bytes) -> Response:
    about = plan(
        name=file.name,
        content_type=file.content_type,
        sha256=file.sha256,
        size_bytes=len(data),
        max_age_seconds=None,
        attachment=True,
    )
    # not the bytes of the blob, and so without its tag and ranges
    left_out = {
        "etag",
        "accept-ranges",
        "content-length",
        "access-control-allow-origin",
        "access-control-expose-headers",
    }
    headers = [(name.encode(), value.encode("latin-1")) for name, value in about.headers if name not in left_out]
    return Response(headers=headers, body=data)


async def _row(call: Call, parts: ApiContext) -> Prediction:
    prediction_id = path_id(call.params[0], "prediction")
    row = await parts.predictions.outline(prediction_id, call.account_id)
    if row is None:
        raise NotFound(f"There is no prediction {prediction_id}")
    return row


def _shown(row: Prediction, file: OutputFile, call: Call, parts: ApiContext) -> OutputFileBody:
    kept_until = parts.presenter.data_ends_at(row)
    return OutputFileBody(
        index=file.index,
        name=file.name,
        content_type=file.content_type,
        size=file.size_bytes,
        checksums=Checksums(sha256=file.sha256),
        url=parts.presenter.file_link(row, file, call.variant),
        url_expires_at=rfc3339(datetime.fromtimestamp(parts.presenter.links_end_at(row), UTC)),
        kept_until=None if kept_until is None else rfc3339(kept_until),
    )
