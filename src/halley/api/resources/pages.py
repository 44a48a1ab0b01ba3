"""The web page of a prediction: `urls.web`. Its link grants access to it."""

from typing import Any, Final

import msgspec

from halley.api.context import ApiContext
from halley.api.dependencies import PageRenderer
from halley.api.http.asgi import Call, Headers, Response
from halley.api.http.capabilities import is_page_token
from halley.predictions.records import OutputFile, Prediction
from halley.strict_json import beginning, is_heavy

_HEADERS: Final[Headers] = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"private, no-store"),
    (b"referrer-policy", b"no-referrer"),  # the URL of this page is a secret
    (b"x-content-type-options", b"nosniff"),
    (b"x-robots-tag", b"noindex"),
]
_UNSEEN: Final = "application/octet-stream"


async def prediction(call: Call, parts: ApiContext) -> Response:
    """The page; all callers without access get the same refusal page."""
    prediction_id = call.params[0]
    pages = await parts.pages.get()
    if not is_page_token(parts.links, prediction_id, call.query().get("t", "")):
        return _answer(pages, pages.closed(), 403)
    row = await parts.predictions.find(prediction_id)
    if row is None:
        return _answer(pages, pages.closed(), 404)
    row = await parts.predictions.filled(row)
    if row.data_removed_at is not None:
        return _answer(pages, pages.removed(row.id), 410)
    links = _links(parts, row, call.variant.prefix)
    output = _output(parts, row, links)
    kinds = {links[file.ref]: _kind(parts, file) for file in row.files if file.ref in links}
    return _answer(pages, pages.prediction(row, output=output, links=kinds), 200)


def _kind(parts: ApiContext, file: OutputFile) -> str:
    """The type of a file on the page; a file whose link needs more than the link itself is not shown as an image."""
    return _UNSEEN if parts.settings.quirks.output_links_need_key else file.content_type


def _links(parts: ApiContext, row: Prediction, prefix: str) -> dict[str, str]:
    """Links without an origin: the page may only load files from its own origin."""
    ends_at = parts.presenter.data_ends_at(row)
    return {
        file.ref: prefix + parts.links.delivery_path(row.id, file.index, file.name, data_ends_at=ends_at)
        for file in row.files
    }


def _output(parts: ApiContext, row: Prediction, links: dict[str, str]) -> Any:
    """The output as a value; None if there is none, or only files, which are shown themselves."""
    if row.output is None:
        return None
    if row.output[:1] != b'"' and is_heavy(row.output):
        return beginning(row.output)
    value = msgspec.json.decode(row.output)
    items = value if isinstance(value, list) else [value]
    if items and all(isinstance(item, str) and item in links for item in items):
        return None
    return parts.presenter.with_links(value, links)


def _answer(pages: PageRenderer, body: bytes, status: int) -> Response:
    policy = (
        f"default-src 'none'; img-src 'self'; media-src 'self'; style-src {pages.style_source}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Response(status=status, headers=[*_HEADERS, (b"content-security-policy", policy.encode())], body=body)
