"""API keys: list, create, change, revoke."""

import shlex
from typing import Any, Final

from halley.errors import NotFound
from halley.ids import is_id
from halley.web.forms_posted import PostedForm
from halley.web.pages.confirm import confirmation
from halley.web.pages.refusals import refusal_words
from halley.web.visit import Redirect, View, Visit

SCOPES: Final = (
    ("read", "look at models, predictions and files"),
    ("write", "create and cancel predictions, upload and delete files"),
    ("admin", "everything, keys included"),
)
_OF_A_LIST: Final = ("cursor", "limit")
_GIVEN: Final = {
    "name": "",
    "username": "",
    "prefix": "",
    "scopes": ["read", "write"],
    "options": {"hold": True, "cancel_abandoned": False, "retention": None},
}


async def show(visit: Visit, problem: str = "", given: dict[str, Any] | None = None) -> View:
    """The newest keys, or those of a later page, and the form of a new one; `given` is what a refused form had."""
    query = {} if problem else visit.query
    asked: dict[str, str] = {name: query[name] for name in _OF_A_LIST if name in query}
    page = await visit.get("/v1/keys", asked)
    keys = page["results"]
    for one in keys:
        one["shown_options"] = _option_words(one["options"])
    newest = await _newest(visit) if asked else (keys or [None])[0]
    return View(
        "keys.html",
        {"keys": keys, "next": page["next"]},
        status=422 if problem else 200,
        own=visit.identity.key.id,
        newest=newest["id"] if newest else "",
        page=page,
        problem=problem,
        given=given or _GIVEN,
        scopes=SCOPES,
        account=visit.identity.account.username,
    )


async def create(visit: Visit, form: PostedForm) -> View:
    """Create a key, and show its token: in this answer only."""
    given = {
        "name": form.get("name").strip(),
        "username": form.get("username").strip(),
        "prefix": form.get("prefix").strip(),
        "scopes": form.all("scopes"),
        "options": _options(form),
    }
    if made := await _made_since(visit, form.get("newest")):
        # the page of a new key was loaded again, or another admin made one
        return await show(visit, f"{made} Create another key only if you need one.", given)
    body = {name: value for name, value in given.items() if value or name == "scopes"}
    answer = await visit.ask("POST", "/v1/keys", body=body)
    if problem := refusal_words(answer):
        return await show(visit, problem, given)
    one = answer.json()
    root = visit.call.variant.origin
    return View("new_key.html", one, status=201, one=one, env=_shell_lines(root, one["token"]), root=root)


async def show_one(visit: Visit, problem: str = "", options: dict[str, Any] | None = None) -> View:
    """One key and its options."""
    one = await _key(visit)
    return View(
        "key.html", one, status=422 if problem else 200, one=one, problem=problem, options=options or one["options"]
    )


async def change(visit: Visit, form: PostedForm) -> Redirect | View:
    """Change the options of a key."""
    options = _options(form)
    answer = await visit.ask("PATCH", f"/v1/keys/{visit.part(0)}", body={"options": options})
    if problem := refusal_words(answer):
        return await show_one(visit, problem, options)
    return Redirect(f"/ui/keys/{visit.params[0]}", "The options are saved.")


async def ask_revoke(visit: Visit) -> View:
    """Whether a key is to be revoked."""
    one = await _key(visit)
    own = " You are signed in with this key: you will be signed out." if one["id"] == visit.identity.key.id else ""
    return confirmation(
        f"Revoke the key “{one['name'] or one['id']}”?",
        f"Programs that use it are refused from then on, and it cannot be made valid again.{own}",
        button="Revoke it",
        action=f"/ui/keys/{one['id']}/revoke",
        back=f"/ui/keys/{one['id']}",
    )


async def revoke(visit: Visit, form: PostedForm) -> Redirect:
    """Refuse a key from now on."""
    del form
    await visit.post(f"/v1/keys/{visit.part(0)}", method="DELETE")
    return Redirect("/ui/keys", "The key is revoked.")


async def _newest(visit: Visit) -> dict[str, Any] | None:
    keys: list[dict[str, Any]] = (await visit.get("/v1/keys", {"limit": "1"}))["results"]
    return keys[0] if keys else None


async def _key(visit: Visit) -> dict[str, Any]:
    if not is_id(visit.params[0]):  # "current" would be another page of the API
        raise NotFound(f"There is no key {visit.params[0][:64]}")
    found: dict[str, Any] = await visit.get(f"/v1/keys/{visit.part(0)}")
    return found


async def _made_since(visit: Visit, newest: str) -> str:
    """What was made since the form was loaded, in a sentence. A repeated request must not make a second key."""
    last = await _newest(visit) if newest else None
    if last is None or last["id"] == newest:
        return ""
    name = last["name"] or last["id"]
    return f"The key “{name}” was created since this form was loaded. Its token is not shown again."


def _options(form: PostedForm) -> dict[str, Any]:
    return {
        "hold": form.get("hold") == "1",
        "cancel_abandoned": form.get("cancel_abandoned") == "1",
        "retention": form.get("retention").strip() or None,
    }


def _option_words(options: dict[str, Any]) -> str:
    words = [] if options["hold"] else ["polls are not held"]
    words += ["abandoned predictions are canceled"] if options["cancel_abandoned"] else []
    words += [f"data is kept for {options['retention']}"] if options["retention"] else []
    return ", ".join(words)


def _shell_lines(root: str, token: str) -> str:
    """What `halley env` prints for a shell. Source: contract section 2 (what each client reads)."""
    values = (("REPLICATE_BASE_URL", root), ("REPLICATE_API_TOKEN", token), ("REPLICATE_API_BASE_URL", root))
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in values)
