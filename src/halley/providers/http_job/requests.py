"""Requests as a job file describes them: checked when it is read, filled with values when they are sent."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec

from halley.providers.http_job.bodies import MOST_DEPTH, encoded, filled
from halley.providers.http_job.faults import JobFileError, Unsendable
from halley.providers.http_job.tables import Encoding, RequestTable
from halley.providers.http_job.templates import Name, Template, Values, parse_template

Known = Mapping[str, Sequence[str] | None]
"""The names that templates may contain; see `parse_template`."""

_PATH: Final = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_TEXT: Final = re.compile(r"[\x20-\x7e]{0,4000}")
_OURS: Final = frozenset(
    {
        "host",
        "content-length",
        "content-type",
        "transfer-encoding",
        "connection",
        "te",
        "upgrade",
        "expect",
        "accept-encoding",
    }
)
_SECRET: Final = re.compile(r"authorization|cookie|token|secret|password|api-?key|^key$", re.IGNORECASE)
_DOTS: Final = frozenset({".", ".."})
PATH_CHARS: Final = 7000  # with its query; together with the url of the provider it must be a URL that can be sent


class JobRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request, ready to be sent. `path` is percent-encoded; `headers` have the type of the content."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    content: bytes


class RequestForm(msgspec.Struct, frozen=True, kw_only=True):
    """A request with templates."""

    place: str  # in the job file
    method: str
    path: Template
    headers: tuple[tuple[str, Template], ...]
    encoding: Encoding
    body: Any  # templates in JSON; None for no body

    def names(self) -> Iterator[Name]:
        """All names in its templates."""
        yield from self.path.names
        for _, text in self.headers:
            yield from text.names
        yield from _names(self.body)

    def filled(self, values: Values, boundary: str) -> JobRequest:
        """The request with these values.

        Raises:
            Unsendable: a value is not possible at its position; the message says where.
        """
        try:
            headers = tuple(self._headers(values))
            content = b""
            if self.body is not None:
                kind, content = encoded(filled(self.body, values), self.encoding, boundary)
                headers = (*headers, ("content-type", kind))
            return JobRequest(method=self.method, path=self._path(values), headers=headers, content=content)
        except Unsendable as error:
            raise Unsendable(f"{self.place}: {error}") from error

    def _path(self, values: Values) -> str:
        for name in self.path.names:
            if (found := name.find(values)) is None or found == "":
                raise Unsendable(f"its path needs {{{name}}}, which has no value")
        path = self.path.text(values, _quoted) or ""
        if not _DOTS.isdisjoint(path.partition("?")[0].split("/")):
            raise Unsendable("a value in its path is . or .., which would lead elsewhere")
        if len(path) > PATH_CHARS:
            raise Unsendable(f"its path would have more than {PATH_CHARS} characters")
        return path

    def _headers(self, values: Values) -> Iterator[tuple[str, str]]:
        for name, template in self.headers:
            text = template.text(values)
            if text is None:
                continue
            if not _HEADER_TEXT.fullmatch(text):
                raise Unsendable(f"the value of the header {name} has characters that no header can have")
            yield name, text


def request_form(table: RequestTable, place: str, known: Known) -> RequestForm:
    """Check a table.

    Raises:
        JobFileError: something in it is wrong.
    """
    if table.encoding == "multipart" and place != "create":
        raise JobFileError(f"{place}.encoding", 'only [create] may be "multipart".')
    if table.body is None and table.encoding != "json":
        raise JobFileError(f"{place}.encoding", "it has no body to encode.")
    if table.body is not None and table.method == "GET":
        raise JobFileError(f"{place}.body", "a GET has no body; put the values into the path, or name another method.")
    body = None if table.body is None else templates_in(table.body, f"{place}.body", known)
    if table.encoding != "json" and body is not None:
        _check_fields(body, f"{place}.body")
    return RequestForm(
        place=place,
        method=table.method,
        path=path_template(table.path, f"{place}.path", known),
        headers=tuple(_header(name, text, f"{place}.headers.{name}", known) for name, text in table.headers.items()),
        encoding=table.encoding,
        body=body,
    )


def check_header_name(name: str, place: str) -> None:
    """Raises:
    JobFileError: no header can have this name, or Halley sets this header itself.
    """
    if not _HEADER.fullmatch(name):
        raise JobFileError(place, f"{name!r} is no name of a header.")
    if name.lower() in _OURS:
        raise JobFileError(place, f"the header {name} follows from the rest of the request; leave it out.")


def templates_in(value: Any, place: str, known: Known, depth: int = 0) -> Any:
    """The JSON value, each text in it as a template.

    Raises:
        JobFileError: a template is wrong, or a value cannot be JSON.
    """
    if depth > MOST_DEPTH:
        raise JobFileError(place, f"it is nested more than {MOST_DEPTH} deep.")
    if isinstance(value, str):
        return _template(value, place, known)
    if isinstance(value, dict):
        return {name: templates_in(member, f"{place}.{name}", known, depth + 1) for name, member in value.items()}
    if isinstance(value, list):
        return [templates_in(item, f"{place}[{index}]", known, depth + 1) for index, item in enumerate(value)]
    check_json(value, place)
    return value


def check_json(value: Any, place: str) -> None:
    """Raises:
    JobFileError: the value of a TOML file cannot be written as JSON.
    """
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise JobFileError(place, "it cannot be written as JSON; put a date into quotes.") from error


def _template(text: str, place: str, known: Known) -> Template:
    """Raises:
    JobFileError: it is wrong.
    """
    try:
        return parse_template(text, known)
    except ValueError as error:
        raise JobFileError(place, str(error)) from error


def path_template(text: str, place: str, known: Known) -> Template:
    """The template of a path below the url of the provider.

    Raises:
        JobFileError: it is not a path, or would lead to another place.
    """
    found = _template(text, place, known)
    literal = "".join(part if isinstance(part, str) else "x" for part in found.parts)
    if not text.startswith("/"):
        raise JobFileError(place, f"{text!r} does not begin with a slash: it is added to the url of the provider.")
    if not _PATH.fullmatch(literal):
        raise JobFileError(place, f"{text!r} has characters that no path has; write them percent-encoded.")
    if literal.startswith("//") or not _DOTS.isdisjoint(literal.partition("?")[0].split("/")):
        raise JobFileError(place, f"{text!r} would lead to another place than below the url of the provider.")
    return found


def _header(name: str, text: str, place: str, known: Known) -> tuple[str, Template]:
    check_header_name(name, place)
    if _SECRET.search(name):
        raise JobFileError(place, "secrets do not stand in a job file: set token_env of the provider, and [auth] here.")
    found = _template(text, place, known)
    if not all(_HEADER_TEXT.fullmatch(part) for part in found.parts if isinstance(part, str)):
        raise JobFileError(place, "it has characters that no header can have.")
    return name.lower(), found


def _check_fields(body: Any, place: str) -> None:
    if isinstance(body, Template):
        return  # "{input}" as a whole: an object
    if not isinstance(body, dict):
        raise JobFileError(place, "a form needs a table of fields.")
    for name, member in body.items():
        if isinstance(member, dict):
            raise JobFileError(f"{place}.{name}", "a field of a form is a text, a number or a list, and no table.")


def _quoted(name: Name, text: str) -> str:
    """A value in a path. Constants of the file itself, such as names of models, may be several segments."""
    return quote(text, safe="/" if name.root == "value" else "")


def _names(body: Any) -> Iterator[Name]:
    if isinstance(body, Template):
        yield from body.names
    elif isinstance(body, dict | list):
        for member in body.values() if isinstance(body, dict) else body:
            yield from _names(member)
