"""Renders the page of a prediction. Implements `api.dependencies.PageRenderer`."""

import base64
import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import msgspec

from halley.clock import rfc3339
from halley.predictions.records import Prediction
from halley.strict_json import beginning, is_heavy

if TYPE_CHECKING:
    import jinja2

_REFRESH_SECONDS: Final = 2
_TEXT_LIMIT: Final = 200_000  # characters of one block; the API has the rest


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """One file of an output: its URL, and how to show it."""

    url: str
    name: str
    kind: str  # image, audio, video or other


class HtmlPages:
    """Templates, loaded at the first page: most servers never show one, and Jinja takes 2 MB."""

    @cached_property
    def _environment(self) -> "jinja2.Environment":
        import jinja2

        return jinja2.Environment(
            loader=jinja2.PackageLoader("halley.web"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    @cached_property
    def _prediction(self) -> "jinja2.Template":
        return self._environment.get_template("permalink.html")

    @cached_property
    def _closed(self) -> bytes:
        return self._environment.get_template("closed.html").render().encode()

    @cached_property
    def style_source(self) -> str:
        """The style source for a content security policy: exactly our style sheet, by its digest."""
        return _digest_of_style(self._closed)

    def prediction(self, row: Prediction, *, output: Any, links: Mapping[str, str]) -> bytes:
        """The page of a prediction. `links` maps links to its files to media types; `output` is the rest of its
        output.
        """
        media = [Media(url=url, name=unquote(url.rpartition("/")[2]), kind=_kind(kind)) for url, kind in links.items()]
        return self._prediction.render(
            row=row,
            status=str(row.status),
            created=rfc3339(row.created_at),
            completed=None if row.completed_at is None else rfc3339(row.completed_at),
            input=_input(row.input),
            output=None if output is None else _cut(_plain(output)),
            media=media,
            logs=_cut(row.logs),
            metrics=_shown(dict(row.metrics)) if row.metrics else None,
            refresh=None if row.is_terminal else _REFRESH_SECONDS,
        ).encode("utf-8", "replace")

    def removed(self, prediction_id: str) -> bytes:
        """The page of a prediction whose data was removed."""
        return self._environment.get_template("removed.html").render(id=prediction_id).encode()

    def closed(self) -> bytes:
        """The page for a caller without access: it reveals nothing."""
        return self._closed


def _digest_of_style(page: bytes) -> str:
    style = page.partition(b"<style>")[2].partition(b"</style>")[0]
    return f"'sha256-{base64.b64encode(hashlib.sha256(style).digest()).decode()}'"


def _kind(content_type: str) -> str:
    kind = content_type.partition("/")[0]
    # an SVG may contain scripts: here it is a download
    return kind if kind in {"image", "audio", "video"} and content_type != "image/svg+xml" else "other"


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        joined = "".join(value)
        return joined if not joined.startswith(("http:", "https:", "data:")) else "\n".join(value)
    return msgspec.json.format(msgspec.json.encode(value)).decode()


def _input(text: bytes) -> str:
    return beginning(text) if is_heavy(text) else _shown(msgspec.json.decode(text))


def _shown(value: Any) -> str:
    return _cut(msgspec.json.format(msgspec.json.encode(value)).decode())


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_LIMIT else f"{text[:_TEXT_LIMIT]}\n... ({len(text)} characters in all)"
