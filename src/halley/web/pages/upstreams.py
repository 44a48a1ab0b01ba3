"""Services elsewhere that run predictions, and predictions with an unknown outcome."""

from typing import Final

from halley.web.forms_posted import PostedForm
from halley.web.pages.confirm import confirmation
from halley.web.pages.refusals import refusal_words
from halley.web.visit import Redirect, View, Visit

_BREAKER: Final = {
    "closed": ("works", "succeeded"),
    "open": ("not answering", "failed"),
    "half_open": ("being tried", "starting"),
}


async def show(visit: Visit, problem: str = "", refused: str = "", typed: str = "") -> View:
    """All of them. `refused` is the prediction whose form was refused, `typed` what was in it."""
    found = (await visit.get("/v1/upstreams"))["results"]
    with_settled = visit.query.get("all", "") == "1"
    unknown = await visit.get("/v1/upstreams/unknown", {"all": "1"} if with_settled else None)
    for one in found:
        one["shown_state"], one["tone"] = _BREAKER[one["state"]]
    return View(
        "upstreams.html",
        {"upstreams": found, "unknown": unknown["results"]},
        status=422 if problem else 200,
        names=[one["name"] for one in found],
        with_settled=with_settled,
        problem=problem,
        refused=refused,
        typed=typed,
    )


async def adopt(visit: Visit, form: PostedForm) -> Redirect | View:
    """Follow a run of the service as the prediction's continuation."""
    (prediction_id,) = visit.params
    typed = form.get("upstream_id").strip()
    body = {"upstream_id": typed} | ({"provider": form.get("provider")} if form.get("provider") else {})
    answer = await visit.ask("POST", f"/v1/upstreams/unknown/{visit.part(0)}/adopt", body=body)
    if problem := refusal_words(answer):
        return await show(visit, problem, prediction_id, typed)
    return _continued(answer.json()["continued_by"], "The run is followed as this prediction.")


async def ask_retry(visit: Visit) -> View:
    """Whether a prediction is to be submitted again."""
    (prediction_id,) = visit.params
    await visit.get("/v1/upstreams/unknown", {"limit": "1"})  # refuses who may not submit again
    return confirmation(
        f"Submit {prediction_id} again?",
        "It is not known whether it ran at the service. If it did, it is paid for twice.",
        button="Submit it again",
        action=f"/ui/upstreams/unknown/{prediction_id}/retry",
        back="/ui/upstreams",
    )


async def retry(visit: Visit, form: PostedForm) -> Redirect:
    """Submit a prediction again, as another one."""
    del form
    done = await visit.post(f"/v1/upstreams/unknown/{visit.part(0)}/retry")
    return _continued(done["continued_by"], "It is submitted again, as this prediction.")


def _continued(prediction_id: str, note: str) -> Redirect:
    return Redirect(f"/ui/predictions/{prediction_id}", note)
