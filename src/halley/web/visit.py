"""One request for a page, as its handler sees it, and what a handler returns."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

from halley.api.http.asgi import Call, Header, Response
from halley.api.internal import ApiAnswer, InternalApi
from halley.keys.records import Scope
from halley.keys.service import Identity
from halley.web.heavy_forms import offload_if_heavy

R = TypeVar("R")


class ApiRefused(Exception):
    """The API refused the request of a page; the reader sees the reason."""

    def __init__(self, answer: ApiAnswer) -> None:
        super().__init__(f"the API answered {answer.status}")
        self.answer: Final = answer


class View:
    """A page: `data` is what its JSON version (`.json`) shows; its template sees each member of it by name.

    `more` is for the template alone. A template is named relative to `web/templates`.
    """

    __slots__ = ("data", "more", "status", "template")

    def __init__(self, template: str, data: Mapping[str, Any], *, status: int = 200, **more: Any) -> None:
        self.template = template
        self.data = data
        self.more = more
        self.status = status


class Redirect:
    """Redirect to another page, which shows `note` (a short sentence) once. `headers`: cookies, for example."""

    __slots__ = ("headers", "note", "path")

    def __init__(self, path: str, note: str = "", *, headers: Sequence[Header] = ()) -> None:
        self.headers = headers
        self.path = path
        self.note = note


class Visit:
    """A signed-in reader's request. Everything that it shows comes from `ask` or `get`."""

    __slots__ = ("_api", "call", "cookie", "identity", "is_heavy", "is_https", "note", "params", "wants_json")

    def __init__(
        self,
        call: Call,
        api: InternalApi,
        identity: Identity,
        cookie: str,
        params: tuple[str, ...],
        *,
        wants_json: bool,
    ) -> None:
        self._api = api
        self.call = call
        self.identity = identity
        self.cookie = cookie
        self.params = params  # of the row's pattern, without `.json`
        self.wants_json = wants_json
        self.note = ""
        self.is_https = False  # how the browser reaches us
        self.is_heavy = False  # it posted a large form

    @property
    def query(self) -> dict[str, str]:
        """The members of the page's query."""
        return self.call.query()

    def part(self, number: int) -> str:
        """A parameter of the page's path, encoded as one segment of an API path: a slash in it does not begin another
        one.
        """
        return quote(self.params[number], safe="")

    @property
    def is_fragment(self) -> bool:
        """Whether a script fetches the page again, only for its live regions."""
        return self.call.headers.get(b"x-fragment") == b"1"

    @property
    def now(self) -> datetime:
        """The time of the server."""
        return self._api.now()

    def may(self, scope: Scope) -> bool:
        """Whether the reader's key has this scope; the API itself decides what it may do."""
        return self.identity.may(scope)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Sequence[Header] = (),
    ) -> ApiAnswer:
        """The answer of the API to a request with the reader's key, also an error. `path` begins with /v1."""
        return await self._api.ask(self.call, self.identity, method, path, query=query, body=body, headers=headers)

    async def ask_shared(self, path: str, query: Mapping[str, str] | None = None) -> ApiAnswer:
        """As `ask` for a read that many open pages repeat: they may share the answer until something changes."""
        return await self._api.ask_shared(self.call, self.identity, path, query=query)

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The value in the answer of the API.

        Raises:
            ApiRefused: the API refused; the reader sees the reason.
        """
        return checked(await self.ask("GET", path, query=query)).json()

    async def post(self, path: str, body: Any = None, *, method: str = "POST", headers: Sequence[Header] = ()) -> Any:
        """As `get`, for a request that changes something."""
        return checked(await self.ask(method, path, body=body, headers=headers)).json()

    async def forward(self, path: str) -> ApiAnswer:
        """Forward the body of this request to the API; returns its answer."""
        return await self._api.ask(self.call, self.identity, "POST", path, body=self.call)

    async def file(self, path: str) -> Response:
        """A file of the API, as this request asks for it; its bytes are sent as they are read."""
        return await self._api.file(self.call, self.identity, path)

    async def follow(self, topic: str) -> Response:
        """The event stream of a topic (see `InternalApi.follow`)."""
        return await self._api.follow(self.call, self.identity, topic)

    async def offload(self, work: Callable[..., R], *args: Any) -> R:
        """The result of work on the posted form, which runs in a thread if the form is large."""
        return await offload_if_heavy(self.is_heavy, work, *args)

    def url(self, path: str, query: Mapping[str, Any] | None = None, /, **members: Any) -> str:
        """A link to a path of this server, below the path prefix of a proxy. Members that are None are left out."""
        pairs = {**(query or {}), **members}
        kept = {name: value for name, value in pairs.items() if value is not None and value != ""}
        return f"{self.call.variant.prefix}{path}" + (f"?{urlencode(kept, doseq=True)}" if kept else "")


def checked(answer: ApiAnswer) -> ApiAnswer:
    """The answer, if it is not an error.

    Raises:
        ApiRefused: it is an error.
    """
    if not answer.is_ok:
        raise ApiRefused(answer)
    return answer
