"""A grid run: its form, its preview, and the table that fills."""

import re
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from halley.errors import NotFound
from halley.ids import is_id
from halley.web.forms.schema import read_form
from halley.web.forms_posted import PostedForm
from halley.web.pages.following import joins_texts, may_be_list
from halley.web.pages.playground import secret_names
from halley.web.pages.refusals import problem_words
from halley.web.views.grid import (
    MOST_RUNS,
    GridAxis,
    GridInvalid,
    GridPlan,
    PlannedRun,
    plan,
    read_input,
    read_values,
    table,
    varied,
)
from halley.web.views.hidden import hidden_names
from halley.web.views.media import files_in
from halley.web.views.model_inputs import ModelInput, inputs_of
from halley.web.views.outputs import shown_output
from halley.web.views.repeated import values_of
from halley.web.views.run import ShownRun, read_run, read_run_page
from halley.web.views.texts import cut, decode_small, pretty
from halley.web.visit import Redirect, View, Visit, checked

_TAG: Final = re.compile(r"grid-[0-9a-f]{16}", re.ASCII)
_MODELS: Final = 8
_PAGES: Final = 8  # of the API, 8 MiB each
_OWN_REFUSALS: Final = (404, 422)  # of one model or input, not of all runs
_SHOWN_REFUSALS: Final = 3  # refused runs whose reasons are shown
_REASON: Final = 60  # characters of each
_FIELDS: Final = ("input", "x", "x_values", "y", "y_values")
_MODEL_NAME: Final = re.compile(r"[^/?#%\s]{1,200}/[^/?#%\s]{1,200}")


async def show_form(visit: Visit) -> View:
    """The form: for the models of the query (`model`, repeated), and with the input of a prediction (`from`)."""
    query = visit.query
    fields = {name: query.get(name, "") for name in _FIELDS}
    models = values_of(visit.call.scope.get("query_string", b""), "model")
    if is_id(start := query.get("from", "")):
        run = read_run(checked(await visit.ask("GET", f"/v1/predictions/{start}")).body)
        shown = pretty(_without_secrets(run.input))
        fields["input"] = shown.text if shown.is_whole else ""
        models = models or [run.model]
    return await _form(visit, models, fields, _new_tag())


async def post(visit: Visit, form: PostedForm) -> View | Redirect:
    """Preview the runs, or make them."""
    models, fields = form.all("model"), {name: form.get(name) for name in _FIELDS}
    tag = form.get("grid")
    tag = tag if _TAG.fullmatch(tag) else _new_tag()
    try:
        made = await _planned(visit, models, fields)
    except GridInvalid as error:
        return await _form(visit, models, fields, tag, faults={error.field: str(error)})
    if form.get("do") != "run":
        return await _form(visit, models, fields, tag, planned=made)
    return await _made(visit, made, models, fields, tag)


async def show_table(visit: Visit) -> View:
    """The runs with the tag in the path, arranged by `x` (down) and `y` (across), or by what differs."""
    tag = visit.params[0]
    if not _TAG.fullmatch(tag):
        raise NotFound("There is no such grid")
    runs = await _tagged(visit, tag)
    if not runs:
        raise NotFound("There is no such grid, or it has no predictions any more")
    x, y = visit.query.get("x", ""), visit.query.get("y", "")
    if not (x or y):
        x, y = varied(runs)
    data = {"tag": tag, "x": x, "y": y, "predictions": runs}
    return View(
        "grid.html",
        data,
        table=table(runs, x, y),
        shown=await _shown(visit, runs),
        ended=sum(run.has_ended for run in runs),
        count=len(runs),
        models=list(dict.fromkeys(run.model for run in runs)),
    )


async def _tagged(visit: Visit, tag: str) -> list[ShownRun]:
    """The predictions with the tag, the oldest first. Large outputs spread them over several pages of the API."""
    runs: list[ShownRun] = []
    query = {"tag": tag, "limit": str(MOST_RUNS)}
    for _ in range(_PAGES):
        page = read_run_page(checked(await visit.ask("GET", "/v1/predictions", query=query)).body)
        runs += page.results
        if page.next is None or len(runs) >= MOST_RUNS:
            break
        query["cursor"] = dict(parse_qsl(urlsplit(page.next).query))["cursor"]
    return runs[:MOST_RUNS][::-1]


async def _made(
    visit: Visit, made: GridPlan, models: Sequence[str], fields: Mapping[str, str], tag: str
) -> View | Redirect:
    refused: list[tuple[PlannedRun, str]] = []
    count = 0
    for number, run in enumerate(made.runs):
        # a form that is sent twice makes no second set
        headers = ((b"idempotency-key", f"{tag}-{number}".encode()),)
        body = {"input": run.input, "tags": [tag]}
        answer = await visit.ask("POST", f"/v1/models/{run.model}/predictions", body=body, headers=headers)
        if answer.is_ok:
            count += 1
            continue
        refused.append((run, problem_words(answer)))
        if answer.status not in _OWN_REFUSALS:
            break  # the others would be refused, too
    if not count:
        return await _form(visit, models, fields, tag, planned=made, faults={"": refused[0][1]})
    axes = {name: axis.name for name, axis in (("x", made.down), ("y", made.across)) if axis is not None}
    hidden = await _secret_names(visit, [run.model for run in made.runs]) if refused else frozenset()
    return Redirect(_with_query(f"/ui/grid/{tag}", axes), _created_words(made, count, refused, hidden))


def _created_words(
    made: GridPlan, count: int, refused: Sequence[tuple[PlannedRun, str]], hidden: Collection[str]
) -> str:
    if not refused:
        return f"{count} predictions created."
    reasons = "; ".join(f"{made.name_of(run, hidden)} ({cut(why, _REASON)})" for run, why in refused[:_SHOWN_REFUSALS])
    more = f"; and {len(refused) - _SHOWN_REFUSALS} more" if len(refused) > _SHOWN_REFUSALS else ""
    left = len(made.runs) - count - len(refused)
    # the counts first: a long note is cut
    counts = f"{count} of {len(made.runs)} predictions created; {len(refused)} refused, {left} not tried."
    return f"{counts} Refused: {reasons}{more}."


async def _planned(visit: Visit, models: Sequence[str], fields: Mapping[str, str]) -> GridPlan:
    names = [name for name in models if _MODEL_NAME.fullmatch(name)][: _MODELS + 1]
    if len(names) > _MODELS:
        raise GridInvalid("model", f"at most {_MODELS} models at once")
    kinds = {one.name: one.kind for one in (await _inputs(visit, names))}
    axes = []
    for name in ("x", "y"):
        if varied := fields[name]:
            values = read_values(fields[f"{name}_values"], kinds.get(varied, ""), f"{name}_values")
            if not values:
                raise GridInvalid(f"{name}_values", "write the values, one on each line")
            axes.append(GridAxis(name=f"input.{varied}", values=values))
    return plan(names, read_input(fields["input"]), axes)


async def _form(
    visit: Visit,
    chosen: Sequence[str],
    fields: Mapping[str, str],
    tag: str,
    *,
    planned: GridPlan | None = None,
    faults: Mapping[str, str] | None = None,
) -> View:
    listed = (await visit.get("/v1/models"))["results"]
    names = [f"{one['owner']}/{one['name']}" for one in listed]
    data = {"models": names, "chosen": list(chosen), "inputs": await _inputs(visit, chosen), "most": MOST_RUNS}
    return View(
        "grid_form.html",
        data,
        fields=fields,
        tag=tag,
        planned=planned,
        faults=faults or {},
        status=422 if faults else 200,
    )


async def _inputs(visit: Visit, models: Sequence[str]) -> list[ModelInput]:
    """Inputs of the first model: those of the others are checked by the API."""
    name = next((one for one in models if _MODEL_NAME.fullmatch(one)), None)
    return [] if name is None else inputs_of(await _document(visit, name))


async def _secret_names(visit: Visit, models: Iterable[str]) -> frozenset[str]:
    """Inputs that are or contain secrets for any of the models: the same values go to all of them."""
    forms = [read_form(await _document(visit, name)) for name in dict.fromkeys(models)]
    return frozenset[str]().union(*map(secret_names, forms))


async def _document(visit: Visit, model: str) -> Any:
    """The OpenAPI document of the newest version; None if there is no such model or version."""
    answer = await visit.ask("GET", f"/v1/models/{model}")
    latest = answer.json().get("latest_version") if answer.is_ok else None
    return latest.get("openapi_schema") if latest else None


def _without_secrets(given: msgspec.Raw) -> bytes | msgspec.Raw:
    """The input without what stands for its secrets: as a value it would be sent to every model."""
    members = decode_small(given)
    hidden = hidden_names(members)
    if not hidden:
        return given
    return msgspec.json.encode({name: value for name, value in members.items() if name not in hidden})


async def _shown(visit: Visit, runs: Sequence[ShownRun]) -> dict[str, dict[str, Any]]:
    """What each cell shows, by the id of its run."""
    shown: dict[str, dict[str, Any]] = {}
    joins: dict[tuple[str, str], bool] = {}
    for run in runs:
        version = run.model, run.version
        if may_be_list(run.output) and version not in joins:
            joins[version] = await joins_texts(visit, *version)
        output = shown_output(run.output, is_joined=joins.get(version, True))
        shown[run.id] = {"files": files_in(run.output, limit=2), "output": output}
    return shown


def _with_query(path: str, members: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(members)}" if members else path


def _new_tag() -> str:
    return f"grid-{secrets.token_hex(8)}"
