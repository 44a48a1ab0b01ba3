"""The rows of which the dashboard's tables are made. `Dashboard` turns them into routes, each with its guard."""

from collections.abc import Awaitable, Callable

import msgspec

from halley.api.http.asgi import Call, Response
from halley.keys.records import Scope
from halley.web.forms_posted import PostedForm
from halley.web.visit import Redirect, View, Visit

Shown = View | Redirect | Response


class PageRow(msgspec.Struct, frozen=True, kw_only=True):
    """A page that needs a signed-in reader. Its path with `.json` is its JSON version, with the same data."""

    name: str
    pattern: str  # from /ui
    show: Callable[[Visit], Awaitable[Shown]]
    nav: str = ""  # its text in the main navigation, if it is there
    needs: Scope = Scope.READ  # without it the navigation leaves the page out; the API itself refuses


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """A form that changes something."""

    name: str
    pattern: str
    act: Callable[[Visit, PostedForm], Awaitable[Shown]]
    limit_bytes: int = 256 * 1024  # of the posted form


class UploadAction(msgspec.Struct, frozen=True, kw_only=True):
    """A form with one large file, whose body is passed on to the API as it arrives (`Visit.forward`).

    So its token cannot be in the body: it is in the query of the form's address, or in the header.
    """

    name: str
    pattern: str
    act: Callable[[Visit], Awaitable[Shown]]


class LiveStream(msgspec.Struct, frozen=True, kw_only=True):
    """An event stream for signed-in readers; it has no JSON version."""

    name: str
    pattern: str
    open: Callable[[Visit], Awaitable[Response]]


class Download(LiveStream, frozen=True, kw_only=True):
    """A file to download, for signed-in readers; it has no JSON version."""


class OpenPage(msgspec.Struct, frozen=True, kw_only=True):
    """What is served without a sign-in: it shows nothing of anyone. Its host is checked like that of the others.

    With the method POST its origin is checked, too.
    """

    name: str
    pattern: str
    serve: Callable[[Call], Awaitable[Response]]
    method: str = "GET"


Row = PageRow | Action | UploadAction | LiveStream | OpenPage
