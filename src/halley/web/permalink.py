"""Renders the page of a prediction that its link opens. Implements `api.dependencies.PageRenderer`.

It needs no key and no sign-in, so it has no scripts, loads nothing but files of its prediction, and links nowhere else.
"""

import base64
import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from halley.clock import rfc3339
from halley.predictions.records import Prediction
from halley.web.templating import Templates
from halley.web.views.causes import CAUSES
from halley.web.views.durations import in_words
from halley.web.views.inputs import shown_input
from halley.web.views.media import kind_of_type
from halley.web.views.texts import PART, part_of, plain_log, pretty

_REFRESH_SECONDS: Final = 2
_SHOWN_FILES: Final = 60  # the others are links
_TEMPLATES: Final = ("plain.html", "parts.html", "media.html", "permalink.html", "removed.html", "closed.html")
_STYLES: Final = ("app.css", "detail.css")


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """One file of an output: its URL, and how to show it."""

    url: str
    name: str
    kind: str  # image, audio, video or other


class HtmlPages:
    """Templates, loaded at the first page: most servers never show one, and Jinja takes 2 MB."""

    def __init__(self) -> None:
        self._templates: Final = Templates()

    def prepare(self) -> None:
        """Load what these pages are made of: call it in another thread than that of requests."""
        self._templates.prepare(*_TEMPLATES)
        self.closed()  # the style sheet, too

    @cached_property
    def _style(self) -> str:
        from importlib.resources import files  # with the first page, as Jinja

        # inside the page: the dashboard, where it has a URL, may not be served under this host
        static = files("halley.web").joinpath("static")
        return "".join([static.joinpath(name).read_text("utf-8") for name in _STYLES])

    @cached_property
    def _closed(self) -> bytes:
        return self._render("closed.html")

    @cached_property
    def style_source(self) -> str:
        """The style source for a content security policy: exactly our style sheet, by its digest."""
        style = self._closed.partition(b"<style>")[2].partition(b"</style>")[0]
        return f"'sha256-{base64.b64encode(hashlib.sha256(style).digest()).decode()}'"

    def prediction(self, row: Prediction, *, output: Any, links: Mapping[str, str]) -> bytes:
        """The page of a prediction. `links` maps links to its files to media types; `output` is the rest of its
        output.
        """
        media = [Media(url=url, name=_name(url), kind=kind_of_type(kind)) for url, kind in links.items()]
        return self._render(
            "permalink.html",
            row=row,
            status=str(row.status),
            created=rfc3339(row.created_at),
            started=None if row.started_at is None else rfc3339(row.started_at),
            completed=None if row.completed_at is None else rfc3339(row.completed_at),
            waited=_seconds(row, "created_at", "started_at"),
            ran=_seconds(row, "started_at", "completed_at"),
            cause=CAUSES.get(row.termination_reason or ""),
            input=shown_input(row.input),
            output=None if output is None else _cut(_plain(output)),
            media=media[:_SHOWN_FILES],
            more_files=media[_SHOWN_FILES:],
            log=part_of(plain_log(row.logs)),
            metrics=pretty(msgspec.json.encode(dict(row.metrics))).text if row.metrics else None,
            refresh=None if row.is_terminal else _REFRESH_SECONDS,
        )

    def removed(self, prediction_id: str) -> bytes:
        """The page of a prediction whose data was removed."""
        return self._render("removed.html", id=prediction_id)

    def closed(self) -> bytes:
        """The page for a caller without access: it reveals nothing."""
        return self._closed

    def _render(self, template: str, **values: Any) -> bytes:
        return self._templates.render(template, {"style": self._style, **values})


def _seconds(row: Prediction, start: str, end: str) -> str:
    began, ended = getattr(row, start), getattr(row, end)
    return "" if began is None or ended is None else in_words(max(0.0, (ended - began).total_seconds()))


def _name(url: str) -> str:
    return unquote(url.rpartition("/")[2])


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        joined = "".join(value)
        return joined if not joined.startswith(("http:", "https:", "data:")) else "\n".join(value)
    return msgspec.json.format(msgspec.json.encode(value)).decode()


def _cut(text: str) -> str:
    return text if len(text) <= PART else f"{text[:PART]}\n... ({len(text)} characters in all)"
