"""Uploaded files: list, upload, download, delete."""

from secrets import token_hex
from typing import Any, Final
from urllib.parse import urlsplit

from halley.web.forms_posted import PostedFile, PostedForm
from halley.web.pages.confirm import confirmation
from halley.web.pages.refusals import refusal_words
from halley.web.visit import Redirect, View, Visit

UPLOAD_BYTES: Final = 32 * 2**20
"""The most that is uploaded by a form: it is in memory. The API itself takes larger ones."""


async def show(visit: Visit, problem: str = "") -> View:
    """The files of the account, the newest first."""
    page = await visit.get("/v1/files", visit.query)
    for one in page["results"]:
        one["download"] = _own_path(one["urls"]["download"])
    return View("files.html", page, status=422 if problem else 200, page=page, limit=UPLOAD_BYTES, problem=problem)


async def upload(visit: Visit, form: PostedForm) -> Redirect | View:
    """Store the file of the form."""
    file = next((one for one in form.files.get("content", []) if one.name), None)
    if file is None:
        return await show(visit, "Choose a file first.")
    content_type, body = _multipart(file)
    answer = await visit.ask("POST", "/v1/files", body=body, headers=[(b"content-type", content_type)])
    if problem := refusal_words(answer):
        return await show(visit, problem)
    made: dict[str, Any] = answer.json()
    return Redirect("/ui/files", f"{made['name']} is uploaded. As an input its URL is {made['urls']['get']}")


async def ask_delete(visit: Visit) -> View:
    """Whether a file is to be deleted."""
    one = await visit.get(f"/v1/files/{visit.params[0]}")
    return confirmation(
        f"Delete “{one['name']}”?",
        "Predictions that use it and have not ended keep it until then. It cannot be brought back.",
        button="Delete it",
        action=f"/ui/files/{one['id']}/delete",
        back="/ui/files",
    )


async def delete(visit: Visit, form: PostedForm) -> Redirect:
    """Delete a file."""
    del form
    await visit.post(f"/v1/files/{visit.params[0]}", method="DELETE")
    return Redirect("/ui/files", "The file is deleted.")


def _own_path(url: str) -> str:
    """The link without its origin: the page stays on its own."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def _multipart(file: PostedFile) -> tuple[bytes, bytes]:
    """The content type and the body of an upload with this file."""
    boundary = token_hex(24)
    # a quote or a line break would end the name
    name = file.name.replace("\\", "%5C").replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    kind = "".join(letter for letter in file.content_type if letter.isprintable())
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="content"; filename="{name}"\r\n'
        f"Content-Type: {kind}\r\n\r\n"
    )
    body = b"".join((head.encode(), file.data, f"\r\n--{boundary}--\r\n".encode()))
    return f"multipart/form-data; boundary={boundary}".encode(), body
