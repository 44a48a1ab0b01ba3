"""Finds the route for a method and a path, by a tree of path segments without regular expressions.

Every form of the base URL leads to the same routes: `/replicate` once, then `/v1` any number of times, are removed from
the front, and slashes at the end or in a row are ignored. Source: contract section 2.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, Literal
from urllib.parse import unquote

import msgspec

from halley.api.http.asgi import Call, Response
from halley.api.http.unserved import Unserved
from halley.keys.records import Scope

_SLASHES: Final = re.compile(b"//+")

Handler = Callable[[Call, Any], Awaitable[Response]]
RateClass = Literal["create", "read", "poll", "write", "open"]
Body = Literal["none", "json", "multipart", "text"]


class Param(msgspec.Struct, frozen=True, kw_only=True):
    """A query or header parameter, for the OpenAPI document."""

    name: str
    place: Literal["query", "header"] = "query"
    type: str = "string"
    description: str = ""
    values: tuple[str, ...] = ()  # the only allowed values, if not empty
    format: str = ""
    pattern: str = ""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One operation. `scope` None means that no key is needed: the URL itself grants access, or the route is public."""

    name: str
    method: str
    pattern: str  # without any prefix; {x} matches one segment, or the rest of it
    handler: Handler
    scope: Scope | None = None
    rate: RateClass = "read"
    body: Body = "none"
    request: Any = None  # the wire struct of a JSON body
    response: Any = None  # the wire struct, or a media type as text
    streams: bool = False  # besides the response it can answer with server-sent events
    success: tuple[int, ...] = (200,)
    summary: str = ""
    params: tuple[Param, ...] = ()
    at_root: bool = False  # ours: never under /v1
    is_secret: bool = False  # the path contains a capability: logs show the pattern instead
    is_shared: bool = False  # any web page may fetch it: CORS for all
    is_page: bool = False  # for people in a browser: not part of the API, and not in its document

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return tuple(part.partition("{")[2].rstrip("}") for part in self.pattern.split("/") if "{" in part)


class RouteTable:
    """The routes of one path, by method."""

    __slots__ = ("allow", "at_root", "is_shared", "routes", "secret_pattern", "unserved")

    def __init__(self, at_root: bool) -> None:
        self.routes: dict[str, Route] = {}
        self.unserved: dict[str, str] = {}  # methods of the contract that are not served, with the reason
        self.at_root = at_root
        self.is_shared = False
        self.secret_pattern: str | None = None  # logged instead of a path that contains a capability
        self.allow = b""

    def add(self, route: Route) -> None:
        self.routes[route.method] = route
        self.is_shared = self.is_shared or route.is_shared
        self.secret_pattern = route.pattern if route.is_secret else self.secret_pattern
        methods = set(self.routes)
        methods |= {"HEAD"} if "GET" in self.routes else set()
        methods |= {"OPTIONS"} if self.is_shared else set()
        self.allow = ", ".join(sorted(methods)).encode()


class _Node:
    __slots__ = ("any", "named", "place", "prefixed")

    def __init__(self) -> None:
        self.named: dict[str, _Node] = {}
        self.prefixed: list[tuple[str, _Node]] = []
        self.any: _Node | None = None
        self.place: RouteTable | None = None


class RouteMatch(msgspec.Struct, frozen=True):
    """A route table, the prefix family of the path, and the values of the pattern's parameters."""

    place: RouteTable
    family: str
    params: tuple[str, ...]


class Router:
    """Built once from the table."""

    def __init__(self, routes: Iterable[Route], unserved: Iterable[Unserved] = (), *, prefix: str = "") -> None:
        """`prefix` is a path that a proxy may have left in front, such as `/halley`."""
        self.routes: Final = tuple(routes)
        self._prefix = prefix.encode()
        self._root = _Node()
        for route in self.routes:
            self._place(route.pattern, at_root=route.at_root).add(route)
        for one in unserved:
            self._place(one.pattern, at_root=False).unserved[one.method] = one.why

    def find(self, raw_path: bytes) -> RouteMatch | None:
        """The route table of a path as received (still percent-encoded), or None."""
        if b"//" in raw_path:
            raw_path = _SLASHES.sub(b"/", raw_path)
        if self._prefix:
            raw_path = self._below_prefix(raw_path)
        # latin-1 never fails, and non-ASCII text matches no route
        parts = raw_path.decode("latin-1").split("/")
        start, family, end = 1, "", len(parts)
        if end > 1 and not parts[-1]:
            end -= 1
        if start < end and parts[start] == "replicate":
            start, family = start + 1, "/replicate"
        while start < end and parts[start] == "v1":
            start += 1
        found = _walk(self._root, parts, start, end)
        if found is None or (found[0].at_root and (start > 1 or not raw_path.startswith(b"/"))):
            return None
        return RouteMatch(found[0], family, found[1])

    def may_be_page(self, raw_path: bytes) -> bool:
        """Whether a path is at the root, or where the dashboard is."""
        return self._below_prefix(raw_path).lstrip(b"/")[:2] in (b"ui", b"")  # without a path, `/` itself

    def _below_prefix(self, raw_path: bytes) -> bytes:
        if raw_path == self._prefix:
            return b"/"
        return raw_path[len(self._prefix) :] if raw_path.startswith(self._prefix + b"/") else raw_path

    def _place(self, pattern: str, *, at_root: bool) -> RouteTable:
        node = self._root
        for part in pattern.split("/")[1:]:
            literal, brace, _ = part.partition("{")
            if not brace:
                node = node.named.setdefault(part, _Node())
            elif literal:
                node = dict(node.prefixed).get(literal) or _fork(node, literal)
            else:
                node.any = node.any or _Node()
                node = node.any
        node.place = node.place or RouteTable(at_root)
        return node.place


def _fork(node: _Node, literal: str) -> _Node:
    below = _Node()
    node.prefixed.append((literal, below))
    return below


def _walk(node: _Node, parts: list[str], start: int, end: int) -> tuple[RouteTable, tuple[str, ...]] | None:
    params: list[str] = []
    for index in range(start, end):
        part = parts[index]
        below = node.named.get(part)
        if below is None and part:
            for literal, prefixed in node.prefixed:
                if part.startswith(literal):
                    below = prefixed
                    params.append(unquote(part[len(literal) :]))
                    break
            else:
                below = node.any
                # a bad escape becomes U+FFFD, which matches no route
                params.append(unquote(part) if "%" in part else part)
        if below is None:
            return None
        node = below
    return None if node.place is None else (node.place, tuple(params))
