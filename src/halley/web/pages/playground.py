"""A model's playground: a form made from its schema beside what it gives. It works without scripts.

The form posts to its own path. Its buttons change the form, show the input as JSON, or run it; a run leads to the same
page with `?prediction=ID`, which shows it. Nothing typed is lost if the input is refused. Without scripts a run leads
to the page of its output, which refreshes itself: a page that did so with a form in it would lose what is typed there.
"""

import hmac
import re
import secrets
from collections.abc import Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from halley.api.http.asgi import JSON, Header
from halley.strict_json import is_heavy
from halley.web.forms.fields import Field, Form
from halley.web.forms.names import split_name
from halley.web.forms.posted import InputFault, read_json
from halley.web.forms.view import FormState, input_from, is_edit, state_of_input, state_of_post, switched, view_of
from halley.web.forms_posted import PostedForm
from halley.web.pages.earlier_files import earlier_files
from halley.web.pages.following import LoadedResult, load_result
from halley.web.pages.opened import OpenedModel, open_model, summary_of
from halley.web.pages.uploads import with_uploads
from halley.web.snippets.request import SnippetRequest, output_kind
from halley.web.views.code import ShownCode, shown_code
from halley.web.visit import ApiRefused, Redirect, View, Visit

TEMPLATE: Final = "model_playground.html"
FORM_BYTES: Final = 64 * 2**20  # with its files
_LINK_CHARACTERS: Final = 6000  # of an input in a link; browsers and proxies cut longer ones
_MISSING: Final = " is required"
_ONCE: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)
Faults = Sequence[InputFault | tuple[str, str]]


async def show(visit: Visit) -> View:
    """The form, filled in from `input`, `example` or `prediction`; and the run that `prediction` names."""
    query = visit.query
    opened = await open_model(visit, query.get("version", ""))
    loaded = await load_result(visit, query["prediction"]) if query.get("prediction") else None
    value, faults = _given(opened.form, query, loaded)
    state = state_of_input(opened.form, value, is_json=_wants_json(opened.form, query))
    return await _page(visit, opened, state, faults, loaded=loaded)


def _wants_json(form: Form, query: dict[str, str]) -> bool:
    """A model that does not say what its inputs are gets them as JSON."""
    return query.get("view") == "json" or (form.is_open and not form.fields)


async def act(visit: Visit, posted: PostedForm) -> View | Redirect:
    """Run the input, or do what another button says."""
    opened = await _opened(visit, posted.get("version"))
    pairs, faults = await with_uploads(visit, posted)
    state = await visit.offload(state_of_post, opened.form, pairs)
    if is_edit(pairs):
        return await _page(visit, opened, state, faults)
    value, wrong = await visit.offload(input_from, opened.form, state)
    if "switch" in posted.fields:
        state, wrong = await visit.offload(switched, opened.form, state)
        return await _page(visit, opened, state, [*faults, *wrong])
    if "share" in posted.fields and not wrong:
        return _shared(opened, value)
    if faults or wrong:
        return await _page(visit, opened, state, [*faults, *wrong], status=422)
    return await _run(visit, opened, state, value, once=posted.get("once"))


async def code(visit: Visit, posted: PostedForm) -> View:
    """Show the code for what the form contains: the page with its code open, or the code alone for a script.

    A script keeps files back until the form runs, and names their controls in `local`: a link stands for each.
    """
    opened = await _opened(visit, posted.get("version"))
    pairs, faults = await with_uploads(visit, posted)
    state = await visit.offload(state_of_post, opened.form, pairs)
    value, _ = await visit.offload(input_from, opened.form, state)
    asked = {"client": posted.get("client"), "way": posted.get("way"), "is_open": True, "files": _local_files(posted)}
    chosen = await visit.offload(partial(code_of, visit, opened, value, **asked))
    if not visit.is_fragment:
        return await _page(visit, opened, state, faults, code=chosen)
    return View("model_code.html", {"code": chosen.text}, code=chosen, opened=opened)


def code_of(visit: Visit, opened: OpenedModel, value: dict[str, Any], **chosen: Any) -> ShownCode:
    """The code that runs this version with this input, against this server; `chosen` are arguments of `shown_code`."""
    version = None if opened.is_newest or opened.version is None else opened.version["id"]
    asked = SnippetRequest(
        base_url=visit.call.variant.origin,
        model=opened.name,
        version=version,
        input=value,
        output=output_kind(opened.output_schema),
    )
    return shown_code(asked, secrets=secret_names(opened.form), **chosen)


def _local_files(posted: PostedForm) -> tuple[str, ...]:
    """The inputs with files that the browser has not sent."""
    paths = [split_name(name)[1] for name in posted.all("local")]
    return tuple(dict.fromkeys(path[0] for path in paths if path))


async def _opened(visit: Visit, version_id: str) -> OpenedModel:
    try:
        return await open_model(visit, version_id)
    except ApiRefused:  # that version was removed while the page was open
        return await open_model(visit)


async def _run(
    visit: Visit, opened: OpenedModel, state: FormState, value: dict[str, Any], *, once: str
) -> View | Redirect:
    version = "" if opened.version is None else opened.version["id"]
    body = msgspec.json.encode({"version": version or opened.name, "input": value})
    answer = await visit.ask("POST", "/v1/predictions", body=body, headers=[JSON, *_once(visit, once, body)])
    said = answer.json()
    if answer.is_ok:
        if not visit.is_fragment:
            return Redirect(f"/ui/predictions/{said['id']}/output")
        older = None if opened.is_newest else version
        return Redirect(_link(opened, prediction=said["id"], version=older))
    faults = [_placed(one) for one in said.get("invalid_fields", ())]
    return await _page(visit, opened, state, faults, status=answer.status, problem=said)


def _once(visit: Visit, once: str, body: bytes) -> Sequence[Header]:
    """A form that is sent twice, by a double click for example, makes one prediction; another input makes another."""
    if not _ONCE.fullmatch(once):
        return ()
    digest = hmac.digest(visit.cookie.encode(), body, "sha256").hex()[:16]  # of an input that may have secrets
    return ((b"idempotency-key", f"page-{once}-{digest}".encode()),)


def _placed(fault: dict[str, str]) -> tuple[str, str]:
    """The place of a fault in the form, and its text. What is missing is reported at the object that lacks it."""
    field, text = fault["field"], fault["description"]
    if fault["type"] == "required" and text.endswith(_MISSING):
        return f"{field}.{text.removesuffix(_MISSING)}", text
    return field, text


def _shared(opened: OpenedModel, value: dict[str, Any]) -> Redirect:
    public = {name: member for name, member in value.items() if name not in secret_names(opened.form)}
    text = msgspec.json.encode(public).decode()
    if len(text) > _LINK_CHARACTERS:
        return Redirect(opened.path, "This input is too long for a link: run it, and share the link of its run.")
    left_out = " Secrets are not part of it." if len(public) < len(value) else ""
    return Redirect(_link(opened, input=text), f"The address of this page is the link to this input.{left_out}")


def _link(opened: OpenedModel, **members: str | None) -> str:
    return f"{opened.path}?{urlencode({name: text for name, text in members.items() if text is not None})}"


async def _page(
    visit: Visit,
    opened: OpenedModel,
    state: FormState,
    faults: Faults = (),
    *,
    loaded: LoadedResult | None = None,
    status: int = 200,
    problem: dict[str, Any] | None = None,
    code: ShownCode | None = None,
) -> View:
    view = await visit.offload(view_of, opened.form, state, faults)
    value, _ = await visit.offload(input_from, opened.form, state)
    client, way = visit.query.get("client", ""), visit.query.get("way", "")
    data = {
        "model": opened.model,
        "version": None if opened.version is None else opened.version["id"],
        "input": value,
        "prediction": None if loaded is None else loaded.prediction,
    }
    if problem is not None or view.problems:
        data["problem"] = problem
        data["problems"] = [msgspec.to_builtins(one) for one in view.problems]
    return View(
        TEMPLATE,
        data,
        status=status,
        view=view,
        result=None if loaded is None else loaded.result,
        code=code or await visit.offload(partial(code_of, visit, opened, value, client=client, way=way)),
        files=await earlier_files(visit, opened.form),
        summary=await summary_of(visit, opened),
        once=secrets.token_hex(8),
        notice=None if problem is None or problem.get("invalid_fields") else problem,
        **opened.shown(""),
    )


def _given(form: Form, query: dict[str, str], loaded: LoadedResult | None) -> tuple[dict[str, Any], Faults]:
    """The input that the page's address names."""
    text, example = query.get("input", ""), query.get("example", "")
    if text:
        try:
            value = read_json(text)
        except ValueError as error:
            return {}, (InputFault(path=(), text=str(error)),)
        if not isinstance(value, dict):
            return {}, (InputFault(path=(), text="The input in the address of this page is not a JSON object."),)
        return value, ()
    if example.isascii() and example.isdecimal() and 0 < int(example[:4]) <= len(form.examples):
        return form.examples[int(example[:4]) - 1].input, ()
    if loaded is None:
        return {}, ()
    given = bytes(loaded.result.run.input)
    if is_heavy(given):
        return {}, (InputFault(path=(), text="The input of this prediction is too large for the form."),)
    value = read_json(given.decode())
    return (value if isinstance(value, dict) else {}), ()


def secret_names(form: Form) -> frozenset[str]:
    """Inputs that are or contain secrets."""
    return frozenset(field.name for field in form.fields if _has_secret(field))


def _has_secret(field: Field) -> bool:
    below = (*field.members, *(() if field.item is None else (field.item,)))
    return field.kind == "secret" or any(map(_has_secret, below))
