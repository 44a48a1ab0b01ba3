"""Routes: uploaded files."""

from typing import Final

from halley.api.http.routing import Param, Route
from halley.api.presentation.wire.files import FileBody, FilePage
from halley.api.resources import delivery, files
from halley.api.routes.paging import PAGE
from halley.keys.records import Scope

ROUTES: Final = (
    Route(
        name="files.create",
        method="POST",
        pattern="/files",
        handler=files.create,
        scope=Scope.WRITE,
        rate="write",
        body="multipart",
        response=FileBody,
        success=(201,),
        summary="Upload a file",
    ),
    Route(
        name="files.list",
        method="GET",
        pattern="/files",
        handler=files.list_all,
        scope=Scope.READ,
        response=FilePage,
        summary="List uploaded files, newest first",
        params=PAGE,
    ),
    Route(
        name="files.get",
        method="GET",
        pattern="/files/{file_id}",
        handler=files.get,
        scope=Scope.READ,
        response=FileBody,
        summary="Get the record of an uploaded file",
    ),
    Route(
        name="files.delete",
        method="DELETE",
        pattern="/files/{file_id}",
        handler=files.delete,
        scope=Scope.WRITE,
        rate="write",
        success=(204,),
        summary="Delete an uploaded file",
    ),
    Route(
        name="files.download",
        method="GET",
        pattern="/files/{file_id}/download",
        handler=delivery.download,
        rate="open",
        response="application/octet-stream",
        success=(200, 206),
        summary="Download an uploaded file by a signed link",
        params=(
            Param(name="expiry", type="integer", description="Unix seconds."),
            Param(name="owner", description="The account's name."),
            Param(name="signature", description="Base64 of HMAC-SHA256 over `owner id expiry`."),
        ),
        is_shared=True,
    ),
)
