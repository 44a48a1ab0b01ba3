"""The cookies of the dashboard: the sign-in, the sentence that the next page shows once, and marks."""

from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from halley.api.http.asgi import Call, Header
from halley.web.views.texts import cut

_NAME: Final = "halley_session"
_NOTE: Final = "halley_note"
_NOTE_SECONDS: Final = 60
_MARK_SECONDS: Final = 365 * 86_400
_LONGEST_NOTE: Final = 500
_NOTE_BYTES: Final = 3000  # as it is kept: browsers keep no cookie of more than 4096


class Site(NamedTuple):
    """Where the browser sees us. Servers on different ports or paths of one host have different marks."""

    is_https: bool
    mark: str


def session_of(call: Call, site: Site) -> str | None:
    """The cookie of a sign-in at this site."""
    return _cookies(call).get(_session_name(site))


def set_session(cookie: str, site: Site, *, seconds: int) -> Header:
    """Keep the cookie in the browser; "" removes it."""
    life = seconds if cookie else 0
    return _set(_session_name(site), cookie, life, is_https=site.is_https)


def note_of(call: Call) -> str:
    """The sentence that this page shows; "" without one."""
    return unquote(_cookies(call).get(_NOTE, ""))


def set_note(text: str, *, is_https: bool) -> Header:
    """Let the next page show a sentence, cut if it is long; "" removes it."""
    value = quote(cut(text, _LONGEST_NOTE), safe="")
    if len(value) > _NOTE_BYTES:
        value = quote(cut(text, _NOTE_BYTES // 12), safe="")  # no character takes more
    return _set(_NOTE, value, _NOTE_SECONDS if text else 0, is_https=is_https)


def has_mark(call: Call, name: str) -> bool:
    """Whether this browser keeps a mark."""
    return _cookies(call).get(f"halley_{name}") == "1"


def set_mark(name: str, *, is_https: bool) -> Header:
    """Let the browser keep a mark for a year. It says nothing of anyone."""
    return _set(f"halley_{name}", "1", _MARK_SECONDS, is_https=is_https)


def theme_of(call: Call) -> str:
    """The theme that this browser chose, set by `app.js`; "" for that of the system."""
    theme = _cookies(call).get("halley_theme", "")
    return theme if theme in ("light", "dark") else ""


def value_of(call: Call, name: str) -> str:
    """What this browser keeps under a name that begins with `halley_`; "" without it."""
    return _cookies(call).get(name, "")


def set_value(name: str, value: str, *, is_https: bool) -> Header:
    """Let the browser keep a value for a year; "" removes it."""
    return _set(name, value, _MARK_SECONDS if value else 0, is_https=is_https)


def _session_name(site: Site) -> str:
    # browsers keep one set of cookies for all ports of a host: a sign-in at one server would end that at another
    name = f"{_NAME}_{site.mark}" if site.mark else _NAME
    # the prefix makes browsers refuse one that a subdomain or plain HTTP has set
    return f"__Host-{name}" if site.is_https else name


def _set(name: str, value: str, seconds: int, *, is_https: bool) -> Header:
    secure = "; Secure" if is_https else ""
    text = f"{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
    return (b"set-cookie", text.encode("ascii"))


def _cookies(call: Call) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in call.joined(b"cookie").replace(",", ";").split(";"):
        name, equals, value = pair.strip().partition("=")
        if equals and name.startswith(("halley_", "__Host-halley_")):
            found.setdefault(name, value)
    return found
