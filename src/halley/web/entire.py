"""The dashboard with all of its pages, for an API."""

from halley.api.application import Api
from halley.api.context import ApiContext
from halley.api.internal import InternalApi
from halley.keys.sign_ins import SignIns
from halley.web.dashboard import Dashboard
from halley.web.root import RootPage
from halley.web.routes import ROWS
from halley.web.sign_in import SignInPages


def api_with_pages(context: ApiContext, sign_ins: SignIns) -> tuple[Api, Dashboard]:
    """The API, and the dashboard that it serves as well."""
    dashboard = Dashboard(context.settings, sign_ins)
    api = Api(context, dashboard.routes((*RootPage().rows(), *SignInPages(dashboard).rows(), *ROWS)))
    dashboard.connect(InternalApi(api), context.bodies)
    return api, dashboard
