"""Signing in with a key, and signing out."""

from typing import Final

from halley.api.http.asgi import Call, Response
from halley.errors import NotAuthenticated
from halley.web.cookies import session_of, set_session
from halley.web.dashboard import SESSION_SECONDS, Dashboard
from halley.web.forms_posted import PostedForm, read_form
from halley.web.rows import Action, OpenPage, Row
from halley.web.visit import Redirect, Visit

_FORM_BYTES: Final = 8192


class SignInPages:
    """The pages that make and remove the cookie."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard

    def rows(self) -> tuple[Row, ...]:
        """Their rows."""
        return (
            OpenPage(name="ui.sign_in", pattern="/ui/sign-in", serve=self.show),
            OpenPage(name="ui.sign_in.post", pattern="/ui/sign-in", serve=self.sign_in, method="POST"),
            Action(name="ui.sign_out", pattern="/ui/sign-out", act=self.sign_out),
        )

    async def show(self, call: Call) -> Response:
        """The form; with a code of a one-time link only a button, which a script presses."""
        query = call.query()
        return self._form(call, query.get("next", ""), code=query.get("code", ""))

    async def sign_in(self, call: Call) -> Response:
        """Check the key, and set the cookie."""
        call.held_body = self._dashboard.bodies.hold("")  # of no key yet; released with the answer
        form = await read_form(call, call.held_body, _FORM_BYTES)
        there = form.get("next")
        try:
            sign_ins, code = self._dashboard.sign_ins, form.get("code")
            cookie, _ = await (sign_ins.begin_by_code(code) if code else sign_ins.begin(form.get("key").strip()))
        except NotAuthenticated as error:
            return self._form(call, there, fault=str(error), status=401)
        site = self._dashboard.guard.site(call)
        if before := session_of(call, site):
            await sign_ins.end(before)  # the browser forgets it now
        location = f"{call.variant.prefix}{local_path(there)}"
        return self._dashboard.redirect(location, [set_session(cookie, site, seconds=SESSION_SECONDS)])

    async def sign_out(self, visit: Visit, form: PostedForm) -> Response | Redirect:
        """End this sign-in, or all of this key."""
        if form.get("everywhere"):
            await self._dashboard.sign_ins.end_all(visit.identity.key.id)
        else:
            await self._dashboard.sign_ins.end(visit.cookie)
        site = self._dashboard.guard.site(visit.call)
        return self._dashboard.redirect(visit.url("/ui/sign-in"), [set_session("", site, seconds=0)])

    def _form(self, call: Call, there: str, *, code: str = "", fault: str = "", status: int = 200) -> Response:
        values = {"next": local_path(there), "code": code, "fault": fault, "title": "Sign in"}
        return self._dashboard.render(call, "sign_in.html", values, status=status)


def local_path(there: str) -> str:
    """A path of the dashboard, also if another was asked for: the reader must not be led to another site."""
    is_ours = there == "/ui" or (there.startswith(("/ui/", "/ui?")) and "\\" not in there)
    return there if is_ours and there.isascii() and there.isprintable() else "/ui"
