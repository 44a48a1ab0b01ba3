"""Webhooks: deliveries, sending again, and the secret that signs them."""

from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from halley.web.forms_posted import PostedForm
from halley.web.pages.refusals import refusal_words
from halley.web.templating import cut, json_text
from halley.web.visit import Redirect, View, Visit

_TONES: Final = {"delivered": "succeeded", "failed": "failed", "sending": "processing"}
_HOUR_SECONDS: Final = 3600


async def show(visit: Visit) -> View:
    """Attempts to deliver, the newest first."""
    page = await visit.get("/v1/webhooks/deliveries", visit.query)
    seen: set[str] = set()
    for one in page["results"]:
        _add_words(one)
        one["waits"] = one["message"] not in seen  # of an earlier attempt the next one is above it
        seen.add(one["message"])
    return View("webhooks.html", page, page=page, prediction=visit.query.get("prediction", ""))


async def show_one(visit: Visit) -> View:
    """One attempt, with its request and answer."""
    one = await visit.get(f"/v1/webhooks/deliveries/{visit.part(0)}")
    _add_words(one)
    return View("delivery.html", {"delivery": one}, one=one, body=_pretty(one["request"].get("body")))


async def resend(visit: Visit, form: PostedForm) -> Redirect:
    """Send the message of a delivery again."""
    del form
    done = await visit.post(f"/v1/webhooks/deliveries/{visit.part(0)}/resend")
    return Redirect(f"/ui/webhooks?prediction={done['prediction']}", "The message is sent again now.")


async def reveal(visit: Visit, form: PostedForm) -> View:
    """Show the secret: by a form, so that no link and no history leads to it."""
    del form
    found = await visit.get("/v1/webhooks/default/secret")
    return View("webhook_secret.html", {"secret": found["key"], "ends_at": None})


async def ask_rotate(visit: Visit, problem: str = "", hours: str = "") -> View:
    """The form that replaces the secret."""
    await visit.get("/v1/webhooks/default/secret")  # refuses who may not see it
    return View("webhook_rotate.html", {"problem": problem}, status=422 if problem else 200, hours=hours)


async def rotate(visit: Visit, form: PostedForm) -> View:
    """Replace the secret, and show the new one."""
    hours = form.get("overlap_hours").strip()
    try:
        body = {"overlap_seconds": float(hours.replace(",", ".")) * _HOUR_SECONDS} if hours else {}
    except ValueError:
        return await ask_rotate(visit, "This must be a number of hours.", hours)
    answer = await visit.ask("POST", "/v1/webhooks/default/secret/rotate", body=body)
    if problem := refusal_words(answer):
        return await ask_rotate(visit, problem, hours)
    done = answer.json()
    return View("webhook_secret.html", {"secret": done["key"], "ends_at": done["previous_ends_at"]})


def _add_words(delivery: dict[str, Any]) -> None:
    delivery["tone"] = _TONES.get(delivery["state"], "canceled")
    # without what is before an @: a user and a password
    delivery["why"] = (delivery["error"] or "").replace(f"{delivery['url']} ", "")
    delivery["receiver"] = urlsplit(delivery["url"]).netloc.rpartition("@")[2]


def _pretty(body: str | None) -> str:
    """JSON as people read it; anything else as it is."""
    if not body:
        return ""
    try:
        return json_text(msgspec.Raw(body.encode()))
    except (ValueError, msgspec.MsgspecError):
        return cut(body)
