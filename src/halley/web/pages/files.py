"""Uploaded files: list, upload, download, delete."""

from typing import Any, Final
from urllib.parse import urlsplit

from halley.web.forms_posted import PostedForm
from halley.web.pages.confirm import confirmation
from halley.web.pages.refusals import refusal_words
from halley.web.visit import Redirect, View, Visit

_OF_A_LIST: Final = ("cursor", "limit")


async def show(visit: Visit, problem: str = "") -> View:
    """The files of the account, the newest first."""
    asked: dict[str, str] = {
        name: visit.query[name] for name in _OF_A_LIST if name in visit.query
    }  # a refused upload's token is not
    page = await visit.get("/v1/files", asked)
    for one in page["results"]:
        one["download"] = _own_path(one["urls"]["download"])
    return View("files.html", page, status=422 if problem else 200, page=page, problem=problem)


async def upload(visit: Visit) -> Redirect | View:
    """Store the file of the form, which the API reads as it arrives."""
    answer = await visit.forward("/v1/files")
    if problem := refusal_words(answer):
        return await show(visit, problem)
    made: dict[str, Any] = answer.json()
    return Redirect("/ui/files", f"{made['name']} is uploaded. As an input its URL is {made['urls']['get']}")


async def ask_delete(visit: Visit) -> View:
    """Whether a file is to be deleted."""
    one = await visit.get(f"/v1/files/{visit.part(0)}")
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
    await visit.post(f"/v1/files/{visit.part(0)}", method="DELETE")
    return Redirect("/ui/files", "The file is deleted.")


def _own_path(url: str) -> str:
    """The link without its origin: the page stays on its own."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"
