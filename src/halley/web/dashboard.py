"""The dashboard: turns its rows into routes, each behind its guard, and renders what handlers return."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from halley.api.http.asgi import JSON, Call, Headers, Response
from halley.api.http.budget import BodyBudget
from halley.api.http.routing import Handler, Route
from halley.api.internal import InternalApi
from halley.api.presentation.problems import internal_problem, problem_of
from halley.errors import Forbidden, HalleyError, NotAuthenticated
from halley.keys.records import Scope
from halley.keys.sign_ins import LONGEST, SignIns
from halley.settings import Settings
from halley.web.assets import PATTERN, Assets
from halley.web.cookies import note_of, session_of, set_note, theme_of
from halley.web.forms_posted import read_form
from halley.web.guard import TOKEN_FIELD, TOKEN_HEADER, Guard
from halley.web.navigation import navigation
from halley.web.rows import Action, LiveStream, OpenPage, PageRow, Row, Shown, UploadAction
from halley.web.templating import Templates
from halley.web.visit import ApiRefused, Redirect, Visit

_log: Final = logging.getLogger(__name__)
SESSION_SECONDS: Final = int(LONGEST.total_seconds())
POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    b"connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final[Headers] = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"private, no-store"),
    (b"content-security-policy", POLICY),
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"x-robots-tag", b"noindex"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_JSON_SUFFIX: Final = ".json"


class Dashboard:
    """Serves the rows. Call `connect` before the first request."""

    api: InternalApi
    bodies: BodyBudget

    def __init__(self, settings: Settings, sign_ins: SignIns) -> None:
        self.settings: Final = settings
        self.sign_ins: Final = sign_ins
        self.guard: Final = Guard(settings)
        self.assets: Final = Assets()
        self._templates = Templates()
        self._pages: list[PageRow] = []
        self.routes: tuple[Route, ...] = ()

    def connect(self, api: InternalApi, bodies: BodyBudget) -> None:
        """Take the API that pages ask, and the budget of posted forms."""
        self.api = api
        self.bodies = bodies

    def add(self, rows: Iterable[Row]) -> None:
        """Make `routes` of rows, and of our files. Nothing else makes routes of the dashboard."""
        static = OpenPage(name="ui.static", pattern=PATTERN, serve=self.assets.serve)
        self.routes = tuple(route for row in (*rows, static) for route in self._routes_of(row))

    def prepare(self) -> None:
        """Load what the first page would load: call it in another thread than that of requests."""
        self._templates.prepare("base.html", "parts.html")

    # the three kinds of rows, with their guards

    def _routes_of(self, row: Row) -> Iterable[Route]:
        if isinstance(row, Action):
            yield _route(row.name, "POST", row.pattern, self._action(row))
        elif isinstance(row, UploadAction):
            yield _route(row.name, "POST", row.pattern, self._upload(row))
        elif isinstance(row, OpenPage):
            yield _route(row.name, row.method, row.pattern, self._open(row))
        elif isinstance(row, LiveStream):
            yield _route(row.name, "GET", row.pattern, self._stream(row))
        else:
            self._pages.append(row)
            yield _route(row.name, "GET", row.pattern, self._page(row))
            if not row.pattern.endswith("}"):
                yield _route(
                    f"{row.name}.json", "GET", f"{row.pattern}{_JSON_SUFFIX}", self._page(row, is_json_version=True)
                )

    def _page(self, row: PageRow, *, is_json_version: bool = False) -> Handler:
        async def handle(call: Call, _: object) -> Response:
            params, wants_json = (call.params, True) if is_json_version else _without_suffix(row.pattern, call.params)

            async def show() -> Response:
                self.guard.check_page(call)
                visit = await self._signed_in(call, params, wants_json=wants_json)
                return self._while_signed_in(visit, self._shown(visit, await row.show(visit)))

            return await self._answered(call, show, wants_json=wants_json)

        return handle

    def _action(self, row: Action) -> Handler:
        async def handle(call: Call, _: object) -> Response:
            wants_json = _accepts_json(call)

            async def act() -> Response:
                self.guard.check_origin(call)
                visit = await self._signed_in(call, call.params, wants_json=wants_json)
                call.held_body = self.bodies.hold(visit.identity.key.id)
                form = await read_form(call, call.held_body, row.limit_bytes)
                self._check_token(visit, form.get(TOKEN_FIELD))
                visit.is_heavy = form.is_heavy
                return await visit.offload(self._shown, visit, await row.act(visit, form))

            return await self._answered(call, act, wants_json=wants_json)

        return handle

    def _upload(self, row: UploadAction) -> Handler:
        async def handle(call: Call, _: object) -> Response:
            wants_json = _accepts_json(call)

            async def act() -> Response:
                self.guard.check_origin(call)
                visit = await self._signed_in(call, call.params, wants_json=wants_json)
                self._check_token(visit, visit.query.get(TOKEN_FIELD, ""))
                return self._shown(visit, await row.act(visit))

            return await self._answered(call, act, wants_json=wants_json)

        return handle

    def _check_token(self, visit: Visit, sent: str) -> None:
        """Check the form token that was sent beside the header, if the header has none."""
        if not self.sign_ins.is_form_token(visit.cookie, visit.call.header(TOKEN_HEADER) or sent):
            raise Forbidden("This form is not of your sign-in. Load the page again; nothing was changed.")

    def _stream(self, row: LiveStream) -> Handler:
        async def handle(call: Call, _: object) -> Response:
            async def follow() -> Response:
                self.guard.check_page(call)
                visit = await self._signed_in(call, call.params, wants_json=True)
                return self._while_signed_in(visit, await row.open(visit))

            return await self._answered(call, follow, wants_json=True)

        return handle

    def _open(self, row: OpenPage) -> Handler:
        async def handle(call: Call, _: object) -> Response:

            async def serve() -> Response:
                if row.method == "GET":
                    self.guard.check_page(call)
                else:
                    self.guard.check_origin(call)
                return await row.serve(call)

            return await self._answered(call, serve, wants_json="text/html" not in call.joined(b"accept"))

        return handle

    async def _signed_in(self, call: Call, params: tuple[str, ...], *, wants_json: bool) -> Visit:
        site = self.guard.site(call)
        cookie = session_of(call, site)
        identity = None if cookie is None else await self.sign_ins.identity(cookie)
        if cookie is None or identity is None:
            raise NotAuthenticated("You are not signed in.")
        visit = Visit(call, self.api, identity, cookie, params, wants_json=wants_json)
        visit.note = note_of(call)
        visit.is_https = site.is_https
        return visit

    def _while_signed_in(self, visit: Visit, answer: Response) -> Response:
        """The answer; if it is a stream, it ends with the sign-in."""
        if answer.chunks is not None:
            answer.chunks = self.sign_ins.while_valid(visit.cookie, answer.chunks)
        return answer

    # answers

    async def _answered(self, call: Call, work: Callable[[], Awaitable[Response]], *, wants_json: bool) -> Response:
        """The work's answer; if it is refused, the reason as a page, or the way to sign in."""
        try:
            return await work()
        except ApiRefused as refused:
            answer = refused.answer
            if answer.status == 401 and not wants_json:
                return self._to_sign_in(call)
            problem = Response(status=answer.status, headers=[_plain(answer.headers)], body=answer.body)
        except HalleyError as error:
            if isinstance(error, NotAuthenticated) and not (wants_json or _is_fragment(call)):
                return self._to_sign_in(call)
            problem = problem_of(error, call.request_id)
        except Exception as error:  # noqa: BLE001 - the last resort, as in the API: a page says what to look for
            _log.error("request %s failed", call.request_id, exc_info=error)
            problem = internal_problem(call.request_id, is_create=call.method == "POST")
        return problem if wants_json or _is_fragment(call) else await self._error_page(call, problem)

    def _to_sign_in(self, call: Call) -> Response:
        if call.method == "GET" and call.headers.get(b"sec-fetch-site") == b"cross-site":
            # a link on another site: the browser kept the cookie back, and sends it when our own page leads there
            return self.render(call, "again.html", {"there": f"{call.variant.prefix}{_asked(call)}"})
        there = f"{call.variant.prefix}/ui/sign-in"
        path = _asked(call)
        if call.method in ("GET", "HEAD") and path != "/ui":
            there += f"?next={quote(path, safe='')}"
        return self.redirect(there)

    async def _error_page(self, call: Call, problem: Response) -> Response:
        words = _words(problem)
        values: dict[str, Any] = {"problem": words, "title": words["title"], "path": call.scope["path"]}
        visit = None
        try:
            self.guard.check_page(call)
            visit = await self._signed_in(call, (), wants_json=False)
        except HalleyError:
            pass  # it is shown without the navigation
        headers = [pair for pair in problem.headers if pair[0] == b"retry-after"]
        return self.render(call, "error.html", values, status=problem.status, visit=visit, headers=headers)

    def _shown(self, visit: Visit, shown: Shown) -> Response:
        if isinstance(shown, Response):
            return shown
        if isinstance(shown, Redirect):
            if visit.wants_json:
                said = {"location": visit.url(shown.path), "note": shown.note}
                return Response(headers=[JSON, *shown.headers], body=msgspec.json.encode(said))
            notes = [set_note(shown.note, is_https=visit.is_https)] if shown.note else []
            return self.redirect(visit.url(shown.path), [*shown.headers, *notes])
        if visit.wants_json:
            return Response(status=shown.status, headers=[JSON], body=msgspec.json.encode(shown.data))
        values = {"data": shown.data, **shown.data, **shown.more}
        return self.render(visit.call, shown.template, values, status=shown.status, visit=visit)

    def render(
        self,
        call: Call,
        template: str,
        values: Mapping[str, Any],
        *,
        status: int = 200,
        visit: Visit | None = None,
        headers: Headers | None = None,
    ) -> Response:
        """A page. Without a `visit` it has no navigation."""
        prefix = call.variant.prefix
        known = {
            "visit": visit,
            "url": visit.url if visit is not None else lambda path: f"{prefix}{path}",
            "file_url": self._file_url(prefix),
            "asset": lambda name: f"{prefix}{self.assets.path(name)}",
            "csrf_token": "" if visit is None else self.sign_ins.form_token(visit.cookie),
            "account": None if visit is None else visit.identity.account.username,
            "key": None if visit is None else visit.identity.key,
            "may_write": visit is not None and visit.may(Scope.WRITE),
            "is_admin": visit is not None and visit.may(Scope.ADMIN),
            "nav": () if visit is None else navigation(self._pages, visit),
            "note": "" if visit is None else visit.note,
            "theme": theme_of(call),
            "is_fragment": _is_fragment(call),
            "here": call.scope["path"].removeprefix(prefix),
            "json_url": "" if visit is None or call.method == "POST" else _json_url(call),
            "title": "",
        }
        body = self._templates.render(template, {**known, **values})
        sent = [*_HEADERS, *(headers or ())]
        if visit is not None and visit.note:
            sent.append(set_note("", is_https=visit.is_https))
        return Response(status=status, headers=sent, body=body)

    def _file_url(self, prefix: str) -> Callable[[str], str]:
        """Where a page loads an output file from, by the path of its link: the link, or what the cookie opens."""
        start = f"{prefix}/ui/d/" if self.settings.quirks.output_links_need_key else f"{prefix}/d/"
        return lambda path: start + path.removeprefix(prefix).partition("/d/")[2]

    @staticmethod
    def redirect(location: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> Response:
        """303 to a path of this server. What cannot be in a header, such as a line break from a path, is escaped."""
        kept = quote(location, safe="/%:?#[]@!$&'()*+,;=~-._")
        return Response(status=303, headers=[(b"location", kept.encode()), *headers])


def _route(name: str, method: str, pattern: str, handler: Handler) -> Route:
    return Route(
        name=name,
        method=method,
        pattern=pattern,
        handler=handler,
        rate="open",
        response="text/html",
        at_root=True,
        is_page=True,
    )


def _without_suffix(pattern: str, params: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    if pattern.endswith("}") and params[-1].endswith(_JSON_SUFFIX) and params[-1] != _JSON_SUFFIX:
        return (*params[:-1], params[-1].removesuffix(_JSON_SUFFIX)), True
    return params, False


def _accepts_json(call: Call) -> bool:
    return call.joined(b"accept").startswith("application/json")


def _is_fragment(call: Call) -> bool:
    return call.headers.get(b"x-fragment") == b"1"


def _plain(headers: Headers) -> tuple[bytes, bytes]:
    return next((pair for pair in headers if pair[0] == b"content-type"), JSON)


def _asked(call: Call) -> str:
    raw = (call.scope.get("raw_path") or call.scope["path"].encode()).decode("latin-1")
    path = "/" + raw.removeprefix(call.variant.prefix).lstrip("/")  # with two slashes it would be another host
    query = call.scope.get("query_string", b"").decode("latin-1")
    return f"{path}?{query}" if query else path


def _json_url(call: Call) -> str:
    path, mark, query = _asked(call).partition("?")
    return f"{call.variant.prefix}{path.rstrip('/')}{_JSON_SUFFIX}{mark}{query}"


def _words(problem: Response) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(problem.body)
    except msgspec.DecodeError:
        found = None
    words = found if isinstance(found, dict) else {}
    return {"title": "Error", "detail": "", "status": problem.status, "invalid_fields": [], **words}
