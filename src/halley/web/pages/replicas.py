"""The model processes of this server, and what they print outside of predictions."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any, Final

from halley.web.forms_posted import PostedForm
from halley.web.pages.confirm import confirmation
from halley.web.templating import filesize
from halley.web.visit import Redirect, View, Visit

_LAST_LINES: Final = 5
_MOST_LOGS: Final = 50  # models whose last lines are on the first page
_WORDS: Final = {"busy": "processing", "ready": "succeeded", "loading": "starting", "broken": "failed"}
_TROUBLE: Final = ("failed", "starting")
_WAITING: Final = ("waiting_for_room", "waiting_to_retry", "building", "stopping")


async def show(visit: Visit) -> View:
    """A pool for each model."""
    page = await visit.get("/v1/replicas")
    pools = [_pool(model, rows) for model, rows in groupby(page["results"], key=lambda row: row["model"])]
    unloaded = [pool["model"] for pool in pools if _is_unloaded(pool)]
    pools = sorted((pool for pool in pools if not _is_unloaded(pool)), key=lambda pool: pool["tone"] not in _TROUBLE)
    for pool in pools[:_MOST_LOGS]:
        pool["lines"] = await _last_lines(visit, pool["model"])
    used = sum(row["memory_bytes"] for row in page["results"])
    budget = page["memory_budget_bytes"]
    return View("replicas.html", page, pools=pools, unloaded=unloaded, used=used, budget=budget)


async def show_one(visit: Visit) -> View:
    """All kept lines of a model's processes."""
    model = _model(visit)
    page = await visit.get(f"{_path(visit)}/logs")
    return View("replica.html", page, model=model, lines=page["results"])


async def ask_clear(visit: Visit) -> View:
    """Whether the setup files are to be deleted."""
    model = _model(visit)
    await visit.get(f"{_path(visit)}/logs")  # refuses who may not ask, and unknown models
    return confirmation(
        f"Delete the setup files of {model}?",
        "The next process of the model runs its whole setup again. Processes that run now are not touched.",
        button="Delete them",
        action=f"/ui/replicas/{model}/clear-setup",
        back=f"/ui/replicas/{model}",
    )


async def clear(visit: Visit, form: PostedForm) -> Redirect:
    """Delete what setups of a model left."""
    del form
    model = _model(visit)
    done = await visit.post(f"{_path(visit)}/setup", method="DELETE")
    size = done["cleared_bytes"]
    note = "There were no setup files." if size is None else f"Setup files of {filesize(size)} are deleted."
    return Redirect(f"/ui/replicas/{model}", note)


def _model(visit: Visit) -> str:
    return "/".join(visit.params[:2])


def _path(visit: Visit) -> str:
    return f"/v1/replicas/{visit.part(0)}/{visit.part(1)}"


async def _last_lines(visit: Visit, model: str) -> list[dict[str, Any]]:
    answer = await visit.ask("GET", f"/v1/replicas/{model}/logs", query={"last": str(_LAST_LINES)})
    return list(answer.json()["results"]) if answer.is_ok else []  # a model may be gone meanwhile


def _is_unloaded(pool: dict[str, Any]) -> bool:
    """Whether there is nothing to say of it."""
    return pool["state"] == "unloaded" and not (pool["reason"] or pool["unexpected_exits"])


def _pool(model: str, rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What the processes of a model have in common; a model without a process has one row that says why."""
    found = list(rows)
    first = found[0]
    states = [row["state"] for row in found]
    state = next((word for word in ("busy", "ready", "loading") if word in states), states[0])
    return {
        "model": model,
        "version": first["version"],
        "state": state.replace("_", " "),
        "tone": "starting" if state in _WAITING else _WORDS.get(state, ""),
        "reason": next((row["reason"] for row in found if row["reason"]), None),
        "pinned": first["pinned"],
        "processes": [row for row in found if row["pid"] is not None],
        "unexpected_exits": first["unexpected_exits"],
        "last_exit": first["last_exit"],
        "lines": [],
    }
