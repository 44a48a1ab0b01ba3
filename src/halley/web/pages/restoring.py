"""Fills the form of a model with the input that is stored in a picture."""

import re
from typing import Final
from urllib.parse import quote, urlencode

from halley.assets.embedding import PICTURE_BYTES, InputNote, extract
from halley.ids import is_id
from halley.web.forms_posted import PostedForm
from halley.web.views.texts import pretty
from halley.web.visit import Redirect, View, Visit

FORM_BYTES: Final = PICTURE_BYTES + 64 * 1024
_LINK_BYTES: Final = 8000  # of a query; browsers and proxies cut longer ones
_MODEL: Final = re.compile(r"[^/?#%\s]{1,200}/[^/?#%\s]{1,200}")
_NOTHING: Final = "This picture carries no input. Only one that was downloaded “with its input” does."


async def restore(visit: Visit, form: PostedForm) -> Redirect | View:
    """Read the picture of the form, and lead to the form of the model that made it, filled in.

    Without that model on this server the form is that of `model`, from which the picture was sent.
    """
    here = form.get("model") if _MODEL.fullmatch(form.get("model")) else ""
    pictures = form.files.get("picture", [])
    note = extract(pictures[-1].data) if pictures else None
    if note is None:
        return Redirect(_page_of(here), _NOTHING)
    has_model = bool(_MODEL.fullmatch(note.model)) and (await visit.ask("GET", _api_path(note.model))).is_ok
    target = note.model if has_model else here
    said = "The input of the picture." if has_model else f"The input of the picture, which {note.model[:200]} made."
    members = urlencode({"input": bytes(note.input).decode()})
    if target and len(members) <= _LINK_BYTES:
        return Redirect(f"{_page_of(target)}?{members}", said)
    if target == note.model and await _has_prediction(visit, note):
        return Redirect(f"{_page_of(target)}?{urlencode({'prediction': note.prediction})}", said)
    data = {"model": note.model, "version": note.version, "prediction": note.prediction, "input": note.input}
    return View("restored.html", data, form_path=_page_of(target), shown=pretty(note.input, characters=PICTURE_BYTES))


async def _has_prediction(visit: Visit, note: InputNote) -> bool:
    """Whether the reader may see the prediction, and its input is still there."""
    if not is_id(note.prediction):
        return False
    answer = await visit.ask("GET", f"/v1/predictions/{note.prediction}")
    return answer.is_ok and not answer.json()["data_removed"]


def _api_path(model: str) -> str:
    return f"/v1{_path(model)}"


def _page_of(model: str) -> str:
    return f"/ui{_path(model)}" if model else "/ui/models"


def _path(model: str) -> str:
    owner, _, name = model.partition("/")
    return f"/models/{quote(owner, safe='')}/{quote(name, safe='')}"
