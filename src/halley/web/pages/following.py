"""Following one prediction: its events as they happen, and the region of a page that shows its output."""

from typing import Final
from urllib.parse import quote

import msgspec

from halley.api.http.asgi import Response
from halley.api.internal import EVENTS
from halley.errors import NotFound
from halley.ids import is_id
from halley.web.pages.opened import output_schema_of
from halley.web.views.files import read_output_files
from halley.web.views.outputs import is_list_of_texts
from halley.web.views.result import FILES, Result, result_of
from halley.web.views.run import ShownRun, read_run
from halley.web.views.texts import decode_small
from halley.web.visit import View, Visit, checked

_POSITION: Final = b"last-event-id"


async def events(visit: Visit) -> Response | View:
    """The stream of the API; the JSON version is a list of the events."""
    path = f"{_path(visit.params[0])}/events"
    query = {name: value for name, value in visit.query.items() if name in ("after", "limit")}
    if visit.wants_json:
        return View("result.html", await visit.get(path, query))
    position = visit.call.header(_POSITION)
    headers = [EVENTS, *([(_POSITION, position.encode("latin-1"))] if position else [])]
    answer = checked(await visit.ask("GET", path, query=query, headers=headers))
    return Response(status=answer.status, headers=answer.headers, body=answer.body, chunks=answer.chunks)


async def output(visit: Visit) -> View:
    """The region alone: scripts put it into the page that they are on."""
    loaded = await load_result(visit, visit.params[0])
    return View("result.html", {"prediction": loaded.prediction}, result=loaded.result)


async def file(visit: Visit) -> Response:
    """An output file, by the capability of its link: for pages of a server whose links need a key as well.

    The name in the path only suggests one to the browser.
    """
    return await visit.file(f"/d/{visit.part(0)}/file")


class LoadedResult(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction for the macros of `output.html`, and as the API shows it: it may be large, so it stays JSON."""

    result: Result
    prediction: msgspec.Raw


async def load_result(visit: Visit, prediction_id: str) -> LoadedResult:
    """The prediction with the first files of its output.

    Raises:
        ApiRefused: the reader may not see it, or it does not exist.
    """
    path = _path(prediction_id)
    answer = checked(await visit.ask("GET", path))
    run, prediction = read_run(answer.body), msgspec.Raw(answer.body)
    if run.data_removed or not run.has_output:
        return LoadedResult(result=result_of(run, ()), prediction=prediction)
    query = {"limit": str(FILES)}
    page = read_output_files(checked(await visit.ask("GET", f"{path}/files", query=query)).body)
    is_joined = bool(page.results) or await is_joined_output(visit, run)
    result = result_of(run, page.results, has_more_files=page.next is not None, is_joined=is_joined)
    return LoadedResult(result=result, prediction=prediction)


async def is_joined_output(visit: Visit, run: ShownRun) -> bool:
    """Whether a list of texts is one text in parts: not, if the model says that its output is an ordinary list."""
    return not may_be_list(run.output) or await joins_texts(visit, run.model, run.version)


def may_be_list(output: bytes | msgspec.Raw) -> bool:
    """Whether it makes a difference if its texts are joined."""
    value = decode_small(output)
    return is_list_of_texts(value) and len(value) > 1


async def joins_texts(visit: Visit, model: str, version: str) -> bool:
    """Whether this version streams its output, as far as its schema says."""
    answer = await visit.ask("GET", f"/v1/models/{quote(model)}/versions/{quote(version, safe='')}")
    schema = output_schema_of(answer.json()) if answer.is_ok else None
    if not isinstance(schema, dict) or schema.get("type") != "array":
        return True
    return "x-cog-array-type" in schema or "x-cog-array-display" in schema


def _path(prediction_id: str) -> str:
    if not is_id(prediction_id):
        raise NotFound(f"There is no prediction {prediction_id[:64]!r}")
    return f"/v1/predictions/{prediction_id}"
