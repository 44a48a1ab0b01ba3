"""The page of one prediction: its head, and the tab that is chosen. Only what is shown is asked for."""

import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from halley.api.http.asgi import Response
from halley.api.internal import ApiAnswer
from halley.api.presentation.paging import read_whole_number
from halley.errors import NotFound
from halley.ids import is_id
from halley.web.forms_posted import PostedForm
from halley.web.pages.following import is_joined_output
from halley.web.pages.refusals import problem_words
from halley.web.snippets.code import code_for, shortened
from halley.web.snippets.request import SnippetRequest
from halley.web.views.causes import CAUSES, MANUAL
from halley.web.views.deliveries import read_deliveries
from halley.web.views.files import read_output_files
from halley.web.views.hidden import hidden_names
from halley.web.views.inputs import shown_input
from halley.web.views.related import read_related
from halley.web.views.request_again import request_again
from halley.web.views.result import result_of
from halley.web.views.run import ShownRun, read_run
from halley.web.views.texts import decode_small, part_of, plain_long_log, pretty
from halley.web.views.timeline import attempts, phases, read_event_page, steps
from halley.web.views.times import metrics_of
from halley.web.visit import Redirect, View, Visit, checked

TABS: Final = {
    "output": "Output",
    "input": "Input",
    "logs": "Logs",
    "timeline": "Timeline",
    "webhooks": "Webhooks",
    "assets": "Assets",
    "request": "Request",
    "json": "JSON",
}
_ONCE: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)
_FILES: Final = 24  # shown with the output; the tab Assets has all
_ROWS: Final = 100
_HISTORY: Final = {"only": "history", "limit": "200"}

Shown = Mapping[str, Any]


class Tab(msgspec.Struct, frozen=True, kw_only=True):
    """What a tab adds: `data` for the JSON version of the page, `more` for its template."""

    data: Shown
    more: Shown


async def show(visit: Visit) -> View:
    """The prediction, by its id in the path; `?tab=` chooses the tab."""
    path = path_of(visit)
    answer = checked(await visit.ask("GET", path))
    run = read_run(answer.body)
    history = read_event_page(checked(await visit.ask("GET", f"{path}/events", query=_HISTORY)).body)
    related = read_related(checked(await visit.ask("GET", f"{path}/related")).body)
    run = msgspec.structs.replace(run, tags=(await visit.get(f"{path}/tags"))["tags"])
    name = visit.query.get("tab", "output")
    name = name if name in TABS else "output"
    tab = await _LOADERS[name](visit, run, answer)
    data = {
        "prediction": msgspec.Raw(answer.body),
        "history": history.results,
        "related": related.results,
        "tags": run.tags,
        **tab.data,
    }
    return View(
        "prediction.html",
        data,
        run=run,
        tab=name,
        tabs=TABS,
        phases=phases(run),
        attempts=attempts(run, history.results),
        cause=CAUSES.get(run.termination_reason or ""),
        manual=MANUAL,
        metrics=metrics_of(run),
        once=secrets.token_hex(8),
        **tab.more,
    )


async def cancel(visit: Visit, _: PostedForm) -> Redirect:
    """Cancel it, if it has not ended."""
    await visit.post(f"{path_of(visit)}/cancel")
    return Redirect(f"/ui/predictions/{visit.params[0]}", "Cancel requested.")


async def rerun(visit: Visit, form: PostedForm) -> Redirect:
    """Run it again with the same input, once for each loaded page.

    If the input cannot be used again, for example because it had a secret, the form opens and shows the reason. Other
    refusals, such as of a version that cannot run any more, are shown as an error: the form would not help.
    """
    # a form that is sent twice makes one prediction
    once = form.get("once")
    headers = ((b"idempotency-key", f"page-{once}".encode()),) if _ONCE.fullmatch(once) else ()
    answer = await visit.ask("POST", f"{path_of(visit)}/rerun", body={}, headers=headers)
    is_refused_input = answer.status == HTTPStatus.UNPROCESSABLE_ENTITY and answer.json().get("invalid_fields")
    if is_refused_input and not visit.wants_json:
        run = read_run(checked(await visit.ask("GET", path_of(visit))).body)
        there = f"/ui/models/{quote(run.model)}?{urlencode({'prediction': run.id})}"
        return Redirect(there, f"It was not run again. {problem_words(answer).rstrip('.')}.")
    made = checked(answer).json()
    return Redirect(f"/ui/predictions/{made['id']}", "This is the new run.")


async def delete_data(visit: Visit, _: PostedForm) -> Redirect:
    """Remove its input, output and logs."""
    await visit.post(f"{path_of(visit)}/data", method="DELETE")
    return Redirect(f"/ui/predictions/{visit.params[0]}", "Its input, output, files and logs were removed.")


async def log(visit: Visit) -> Response:
    """The whole log, as a file."""
    run = read_run(checked(await visit.ask("GET", path_of(visit))).body)
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-disposition", b'attachment; filename="%b.log"' % run.id.encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    return Response(headers=headers, body=run.logs.encode("utf-8", "replace"))


async def with_input(visit: Visit) -> Response:
    """A picture of its output as a file that carries its input."""
    number = visit.params[1]
    if not (number.isascii() and number.isdigit()):
        raise NotFound("There is no such file")
    answer = checked(await visit.ask("GET", f"{path_of(visit)}/files/{number}", query={"embed": "input"}))
    return Response(headers=[*answer.headers], body=answer.body)


def path_of(visit: Visit) -> str:
    """The path at the API of the prediction that the page is about.

    Raises:
        NotFound: no id can look like this.
    """
    prediction_id = visit.params[0]
    if not is_id(prediction_id):
        raise NotFound(f"There is no prediction {prediction_id[:64]!r}")
    return f"/v1/predictions/{prediction_id}"


# the tabs


async def _output(visit: Visit, run: ShownRun, _: ApiAnswer) -> Tab:
    files = await _asked_files(visit, run, after=0, limit=_FILES)
    is_joined = bool(files["results"]) or await is_joined_output(visit, run)
    result = result_of(run, files["results"], has_more_files=files["following"] is not None, is_joined=is_joined)
    return Tab(data={}, more={"result": result})


async def _input(_visit: Visit, run: ShownRun, _: ApiAnswer) -> Tab:
    return Tab(data={}, more={"input": shown_input(run.input)})


async def _logs(visit: Visit, run: ShownRun, _: ApiAnswer) -> Tab:
    number = read_whole_number(visit.query, "part", 0) or None
    return Tab(data={}, more={"log": part_of(await plain_long_log(run.logs), number)})


async def _timeline(visit: Visit, run: ShownRun, _: ApiAnswer) -> Tab:
    query = {"after": str(read_whole_number(visit.query, "after", 0)), "limit": str(_ROWS)}
    page = read_event_page(checked(await visit.ask("GET", f"{path_of(visit)}/events", query=query)).body)
    shown = steps(run.created_at, page.results)
    following = page.results[-1].seq if page.next else None
    return Tab(data={"events": page.results, "next_after": following}, more={"steps": shown, "following": following})


async def _webhooks(visit: Visit, run: ShownRun, _: ApiAnswer) -> Tab:
    query = {"prediction": run.id, "limit": str(_ROWS)}
    if cursor := visit.query.get("cursor"):
        query["cursor"] = cursor
    page = read_deliveries(checked(await visit.ask("GET", "/v1/webhooks/deliveries", query=query)).body)
    return Tab(data={"deliveries": page.results}, more={"deliveries_page": page})


async def _assets(visit: Visit, run: ShownRun, _: ApiAnswer) -> Tab:
    page = await _asked_files(visit, run, after=read_whole_number(visit.query, "after", 0), limit=_ROWS)
    return Tab(data={"files": page["results"]}, more={"files": page})


async def _request(visit: Visit, run: ShownRun, _: ApiAnswer) -> Tab:
    members = decode_small(run.input)
    hidden = hidden_names(members)
    curl = ""
    if isinstance(members, dict):
        members |= dict.fromkeys(hidden, "...")
        curl = _curl(visit, run, members)
    again = request_again(run, members if hidden else run.input)
    return Tab(data={}, more={"again": again, "curl": curl, "hidden": hidden})


def _curl(visit: Visit, run: ShownRun, members: dict[str, Any]) -> str:
    """The command that makes it again, with this input."""
    origin = visit.call.variant.origin
    asked = SnippetRequest(base_url=origin, model=run.model, input=members, version=run.version)
    return code_for("curl", "wait", shortened(asked)[0])


async def _json(_visit: Visit, _run: ShownRun, answer: ApiAnswer) -> Tab:
    return Tab(data={}, more={"json": pretty(answer.body)})


async def _asked_files(visit: Visit, run: ShownRun, *, after: int, limit: int) -> dict[str, Any]:
    if run.data_removed:
        return {"results": (), "after": 0, "following": None}
    query = {"after": str(after), "limit": str(limit)}
    page = read_output_files(checked(await visit.ask("GET", f"{path_of(visit)}/files", query=query)).body)
    following = after + len(page.results) if page.next else None
    return {"results": page.results, "after": after, "following": following}


_LOADERS: Final[Mapping[str, Callable[[Visit, ShownRun, ApiAnswer], Awaitable[Tab]]]] = {
    "output": _output,
    "input": _input,
    "logs": _logs,
    "timeline": _timeline,
    "webhooks": _webhooks,
    "assets": _assets,
    "request": _request,
    "json": _json,
}
