"""Builds the dashboard with all of its pages."""

from halley.api.application import Api
from halley.api.internal import InternalApi
from halley.keys.sign_ins import SignIns
from halley.web.dashboard import Dashboard
from halley.web.root import RootPage
from halley.web.routes import ROWS
from halley.web.sign_in import SignInPages


def build_dashboard(api: Api, sign_ins: SignIns) -> Dashboard:
    """The dashboard of this API, with its routes. May be called in another thread."""
    dashboard = Dashboard(api.parts.settings, sign_ins)
    dashboard.connect(InternalApi(api), api.parts.bodies)
    dashboard.add((*RootPage().rows(), *SignInPages(dashboard).rows(), *ROWS))
    return dashboard
