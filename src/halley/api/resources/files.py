"""The files API. Source: contract section 13."""

from typing import Final

from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Response, json_response
from halley.api.presentation.paging import PageBody, page_link, read_cursor, read_limit
from halley.api.presentation.present import encode
from halley.api.presentation.wire.files import FileBody
from halley.api.resources.multipart import read_upload
from halley.assets.links import download_query
from halley.assets.ports import StoredFile
from halley.errors import BadRequest
from halley.ids import is_id

_PAGE: Final = 100


async def create(call: Call, parts: ApiContext) -> Response:
    """Row 33: an upload in any of the four shapes."""
    upload = await read_upload(call, parts.limits, parts.files.drafts)
    try:
        metadata = upload.metadata(parts.limits)
        file = await parts.files.create(
            call.account_id, upload.content(), name=upload.name, content_type=upload.content_type, metadata=metadata
        )
    finally:
        upload.close()
    headers = [(b"location", f"{call.variant.base}/files/{file.id}".encode())]
    return json_response(encode(_shown(file, call, parts)), 201, headers)


async def list_all(call: Call, parts: ApiContext) -> Response:
    """Row 34: newest first."""
    query = call.query()
    cursor, limit = read_cursor(query), read_limit(query, _PAGE)
    if cursor is not None and (cursor.side != "older" or not is_id(cursor.mark)):
        raise BadRequest("The cursor is not valid: use the `next` URL of a list.")
    found = list(await parts.files.list(call.account_id, cursor.mark if cursor else None, limit + 1))
    body = PageBody(parts.limits.page_bytes)
    for file in found[:limit]:
        if not body.take(_shown(file, call, parts)):
            break
    mark = found[len(body) - 1].id if len(found) > len(body) else None
    # the store reads in one direction; no client goes back
    return body.answer(page_link(call.variant, "/files", query, "older", mark), None)


async def get(call: Call, parts: ApiContext) -> Response:
    """Row 35: the record, never the bytes."""
    file = await parts.files.get(call.account_id, call.params[0])
    return json_response(encode(_shown(file, call, parts)))


async def delete(call: Call, parts: ApiContext) -> Response:
    """Row 36."""
    await parts.files.delete(call.account_id, call.params[0])
    return Response(status=204)


def _shown(file: StoredFile, call: Call, parts: ApiContext) -> FileBody:
    query = download_query(
        parts.download_secret,
        owner=call.identity.account.username,
        file_id=file.id,
        expiry=parts.links.expiry(parts.clock.now(), file.expires_at),
    )
    return parts.presenter.file(file, query, call.variant)
