"""The pages for people, loaded by the first visitor: a hundred modules and Jinja, which many servers never need.

Both functions are called in a thread, and again only if they failed: they take a few tenths of a second.
"""

from collections.abc import Sequence

from halley.api.application import Api
from halley.api.dependencies import PageRenderer
from halley.api.http.routing import Route
from halley.keys.sign_ins import SignIns


def dashboard_routes(api: Api, *, sign_ins: SignIns) -> Sequence[Route]:
    """The routes of the dashboard."""
    from halley.web.build import build_dashboard

    dashboard = build_dashboard(api, sign_ins)
    dashboard.prepare()
    return dashboard.routes


def prediction_pages() -> PageRenderer:
    """The pages that links of predictions open."""
    from halley.web.permalink import HtmlPages

    pages = HtmlPages()
    pages.prepare()
    return pages
