"""Lists the models that take a file as an input, for a file of an output."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from halley.errors import BadRequest
from halley.web.forms.fields import Field
from halley.web.forms.schema import read_form
from halley.web.visit import View, Visit

_MODELS: Final = "100"
_LINK_CHARACTERS: Final = 2000


class FileInput(msgspec.Struct, frozen=True, kw_only=True):
    """An input of a model that takes a file; `path` leads to the model's form with the file in it."""

    model: str
    name: str
    label: str
    path: str


async def show(visit: Visit) -> View:
    """The inputs that can take the file in the query."""
    query = visit.query
    file = query.get("file", "")
    if not file.startswith(("http://", "https://")) or len(file) > _LINK_CHARACTERS:
        raise BadRequest("`file` must be the link of a file.")
    asked = {"limit": _MODELS} | ({"cursor": query["cursor"]} if "cursor" in query else {})
    page = await visit.get("/v1/models", asked)
    inputs = [one for model in page["results"] for one in _inputs(visit, model, file)]
    data = {"file": file, "inputs": inputs}
    return View("use.html", data, following=page["next"], name=file.partition("?")[0].rpartition("/")[2])


def _inputs(visit: Visit, model: dict[str, Any], file: str) -> Iterator[FileInput]:
    version = model["latest_version"]
    if version is None:
        return
    name = f"{model['owner']}/{model['name']}"
    for field in read_form(version["openapi_schema"]).fields:
        value = _value(field, file)
        if value is not None:
            text = msgspec.json.encode({field.name: value}).decode()
            path = visit.url(f"/ui/models/{name}", input=text)
            yield FileInput(model=name, name=field.name, label=field.label or field.name, path=path)


def _value(field: Field, file: str) -> str | list[str] | None:
    if field.kind == "file":
        return file
    is_list = field.kind == "array" and field.item is not None and field.item.kind == "file"
    return [file] if is_list else None
