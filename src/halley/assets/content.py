"""Decides how stored bytes are served: headers, ranges, conditions. Pure functions; `api` sends the result.

These bytes are not trusted, but the server sends them from its own origin: only images, audio, video and plain text are
displayed, everything else is a download, and no script may run.

Source: contract section 14; RFC 9110 sections 13 and 14; RFC 6266; RFC 8187.
"""

import re
from typing import Final, Literal
from urllib.parse import quote

import msgspec

_SHOWN: Final = frozenset(
    {
        "application/json",
        "application/jsonl",
        "image/avif",
        "image/bmp",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
        "text/csv",
        "text/plain",
    }
)
_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}", re.ASCII)
_LONGEST_RANGE: Final = 256  # characters; a longer header is ignored
_TAG: Final = re.compile(r'(W/)?"([^"]*)"', re.ASCII)
_UNQUOTED: Final = re.compile(r"[^ !#$&+.^_`|~0-9A-Za-z()\[\]{},;=@\'-]", re.ASCII)
# sandbox forbids scripts, forms and the origin; the page that a browser builds around a video may still play it
_POLICY: Final = "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'"
_EXPOSED: Final = "accept-ranges, content-disposition, content-length, content-range, etag"
_STRICT_POLICY: Final = "sandbox; default-src 'none'"


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """The headers of a request that say which bytes it wants, and under which conditions.

    Dates are ignored: these bytes never change, and their tag is more exact. So no `Last-Modified` is sent, and
    `If-Modified-Since` and `If-Unmodified-Since` have no effect (RFC 9110, 13.1.3 and 13.1.4).
    """

    range_header: str | None = None
    if_range: str | None = None
    if_none_match: str | None = None
    if_match: str | None = None


class ContentPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: status, headers, and the bytes from `start` up to, not including, `end`.

    For 304, 412 and 416 there are no bytes. A HEAD gets the same headers.
    """

    status: Literal[200, 206, 304, 412, 416]
    headers: tuple[tuple[str, str], ...]
    start: int = 0
    end: int = 0


_NO_CONDITIONS: Final = Conditions()


def plan(
    *,
    name: str,
    content_type: str,
    sha256: str,
    size_bytes: int,
    max_age_seconds: int | None,
    attachment: bool = False,
    conditions: Conditions = _NO_CONDITIONS,
) -> ContentPlan:
    """Plan the answer to a GET of stored bytes. `attachment` makes it a download in all cases.

    Caches may reuse the bytes for `max_age_seconds`; None: only after revalidation with the key.

    Conditions are evaluated in the order of RFC 9110, section 13.2.2.
    """
    tag = etag(sha256)
    shared = (
        ("etag", tag),
        (
            "cache-control",
            "private, no-cache" if max_age_seconds is None else f"private, max-age={max(0, max_age_seconds)}",
        ),
        ("access-control-allow-origin", "*"),
        ("access-control-expose-headers", _EXPOSED),
        ("x-content-type-options", "nosniff"),
    )
    given = conditions
    if given.if_match is not None and not _matches(given.if_match, tag, weakly=False):
        return ContentPlan(status=412, headers=(*shared, ("content-length", "0")))
    if given.if_none_match is not None and _matches(given.if_none_match, tag, weakly=True):
        return ContentPlan(status=304, headers=shared)
    counts = given.if_range is None or given.if_range.strip() == tag
    status, start, end = _span(given.range_header if counts else None, size_bytes)
    ranges = ("accept-ranges", "bytes")
    if status == 416:
        unfit = ("content-range", f"bytes */{size_bytes}")
        return ContentPlan(status=416, headers=(*shared, ranges, unfit, ("content-length", "0")))
    headers = [*shared, ranges, *_about(name, content_type, attachment), ("content-length", str(end - start))]
    if status == 206:
        headers.append(("content-range", f"bytes {start}-{end - 1}/{size_bytes}"))
    return ContentPlan(status=status, headers=tuple(headers), start=start, end=end)


def etag(sha256: str) -> str:
    """The strong entity tag of bytes: their digest."""
    return f'"{sha256}"'


def is_shown(content_type: str) -> bool:
    """Whether a browser may display this type instead of downloading it."""
    # browsers treat any type that ends in +xml as a document
    is_media = content_type.startswith(("audio/", "video/")) and not content_type.endswith("+xml")
    return content_type in _SHOWN or is_media


def safe_type(content_type: str) -> str:
    """Return a media type that is valid in a header, without parameters; `application/octet-stream` for
    anything else.
    """
    bare = content_type.partition(";")[0].strip().lower()
    return bare if _TYPE.fullmatch(bare) else "application/octet-stream"


def disposition(name: str, *, attachment: bool) -> str:
    """Make a Content-Disposition; no file name can inject further parameters or headers. Source: RFC 6266, RFC 8187."""
    kind = "attachment" if attachment else "inline"
    plain = _UNQUOTED.sub("_", name)
    value = f'{kind}; filename="{plain}"'
    return value if plain == name else f"{value}; filename*=UTF-8''{quote(name, safe='', errors='replace')}"


def _about(name: str, content_type: str, attachment: bool) -> list[tuple[str, str]]:
    bare = safe_type(content_type)
    download = attachment or not is_shown(bare)
    shown_type = f"{bare}; charset=utf-8" if bare.startswith("text/") else bare
    return [
        ("content-type", shown_type),
        ("content-disposition", disposition(name, attachment=download)),
        ("content-security-policy", _STRICT_POLICY if download else _POLICY),
    ]


def _matches(header: str, tag: str, *, weakly: bool) -> bool:
    if header.strip() == "*":
        return True
    return any(f'"{found}"' == tag and (weakly or not weak) for weak, found in _TAG.findall(header))


def _are_digits(*texts: str) -> bool:
    return all(not text or (text.isascii() and text.isdigit()) for text in texts)


def _span(header: str | None, size_bytes: int) -> tuple[Literal[200, 206, 416], int, int]:
    """Return the wanted bytes: all (also if the header is invalid), a part, or 416 if there are none."""
    whole: Final = 200, 0, size_bytes
    unmet: Final = 416, 0, 0
    if header is None or len(header) > _LONGEST_RANGE:
        return whole
    unit, _, wanted = header.partition("=")
    if unit.strip().lower() != "bytes":
        return whole
    if "," in wanted:
        return unmet  # one range at a time: overlapping ranges multiply work and traffic
    first_digits, dash, last_digits = map(str.strip, wanted.partition("-"))
    if not dash or not (first_digits or last_digits) or not _are_digits(first_digits, last_digits):
        return whole
    if not first_digits:
        length = min(int(last_digits), size_bytes)
        return (206, size_bytes - length, size_bytes) if length else unmet
    first = int(first_digits)
    last = int(last_digits) if last_digits else size_bytes - 1
    if last_digits and last < first:
        return whole
    return (206, first, min(last + 1, size_bytes)) if first < size_bytes else unmet
