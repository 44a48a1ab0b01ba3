"""Files that a form can name: uploaded ones, and outputs of the latest predictions."""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote

from halley.web.forms.fields import Field, Form
from halley.web.views.run import read_run_page
from halley.web.views.texts import decode_small
from halley.web.visit import Visit

_LISTED: Final = 30


async def earlier_files(visit: Visit, form: Form) -> list[tuple[str, str]]:
    """Links with their labels, the newest first; empty if the form asks for no files, or the key may not read."""
    if not any(map(_takes_files, form.fields)):
        return []
    found: dict[str, str] = {}
    predictions = await visit.ask("GET", "/v1/predictions", query={"limit": "20"})
    for run in read_run_page(predictions.body).results if predictions.is_ok else ():
        for link in _links(decode_small(run.output)):
            found.setdefault(link, f"{_name(link)} of {run.model}")
    files = await visit.ask("GET", "/v1/files", query={"limit": "20"})
    for one in files.json()["results"] if files.is_ok else ():
        found.setdefault(one["urls"]["get"], one["name"])
    return list(found.items())[:_LISTED]


def _takes_files(field: Field) -> bool:
    below = (*field.members, *(() if field.item is None else (field.item,)))
    return field.kind == "file" or any(map(_takes_files, below))


def _links(output: Any) -> Iterator[str]:
    listed = output if isinstance(output, list) else [output]
    for one in listed[:_LISTED]:
        if isinstance(one, str) and one.startswith(("http://", "https://")) and len(one) < 2000:
            yield one


def _name(link: str) -> str:
    # a model may write what only looks like a link, and cannot be split as one
    return unquote(link.partition("?")[0].rpartition("/")[2]) or "file"
