"""Downloads one URL to a file: resumed after an interruption, and visible only when complete.

`NAME.part` contains the received bytes, `NAME.meta` their description. `NAME` appears only after size and hash were
checked.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import unquote_to_bytes

import httpx2
import msgspec

from halley.cli.failures import LinkGone, NotSaved
from halley.cli.timing import Backoff, Timing

ATTEMPTS: Final = 6  # in a row without a new byte
REDIRECTS: Final = 5
PAUSE_TOLD_SECONDS: Final = 2.0
CHUNK_BYTES: Final = 1 << 16


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A complete file."""

    size: int
    sha256: str
    content_type: str | None = None


class _Meta(msgspec.Struct, kw_only=True):
    """The description of a partial file. `done` is set before the file is renamed."""

    key: str = ""  # which file of which prediction: a description for another one is ignored
    validator: str | None = None
    total: int | None = None
    content_type: str | None = None
    done: Stored | None = None


class _Broken(Exception):
    """The transfer stopped; the next attempt continues from there."""

    def __init__(self, reason: str, *, again_in_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.again_in_seconds = again_in_seconds


class Authorization(Protocol):
    """Returns the headers for a URL: a token for its own server only."""

    def __call__(self, url: str) -> dict[str, str]: ...


class Downloads:
    """Fetches files; one at a time."""

    def __init__(
        self,
        http: httpx2.Client,
        *,
        authorization: Authorization,
        timing: Timing,
        on_pause: Callable[[str], None] | None = None,
    ) -> None:
        self._http = http
        self._on_pause = on_pause or (lambda _: None)
        self._authorization = authorization
        self._timing = timing

    def fetch(self, url: str, path: Path, *, key: str) -> Stored:
        """Store the bytes of `url` at `path`, continuing an earlier partial download for the same `key`.

        Afterwards the file is complete and synced; `forget` removes its description.

        Raises:
            LinkGone: 401, 403, 404 or 410.
            NotSaved: the server did not send all of it.
        """
        stored = _finished(path, key)
        if stored is not None:
            return stored
        if url.startswith("data:"):
            return _store_data_url(url, path)
        backoff = Backoff(self._timing, start=0.5)
        failures = 0
        while True:
            before = _size(_part(path))
            try:
                return self._attempt(url, path, key)
            except (_Broken, httpx2.TransportError, httpx2.DecodingError) as error:
                failures = 1 if _size(_part(path)) > before else failures + 1
                if failures >= ATTEMPTS:
                    from halley.egress.reasons import reason

                    raise NotSaved(
                        f"{path.name} could not be fetched: {error if isinstance(error, _Broken) else reason(error)}.",
                        hint="Run the command again: it continues where it stopped.",
                    ) from error
                asked = error.again_in_seconds if isinstance(error, _Broken) else None
                if asked is not None and asked >= PAUSE_TOLD_SECONDS:
                    self._on_pause(f"{path.name}: {error}; trying again in {asked:g} s.")
                self._timing.sleep(backoff.next_seconds() if asked is None else asked)

    def _attempt(self, url: str, path: Path, key: str) -> Stored:
        part, meta = _part(path), _load_meta(path, key)
        offset = _size(part) if meta.validator else 0
        headers = {"accept": "*/*", "accept-encoding": "identity"}
        if offset and meta.validator:
            headers |= {"range": f"bytes={offset}-", "if-range": meta.validator}
        with self._open(url, headers) as response:
            offset, meta = self._read_head(response, path, offset, meta)
            digest, size = _digest_of(part, offset)
            with part.open("r+b" if offset else "wb") as file:
                file.truncate(offset)
                file.seek(offset)
                fault = None
                try:
                    for chunk in response.iter_bytes() if _is_encoded(response) else response.iter_raw():
                        file.write(chunk)
                        digest.update(chunk)
                        size += len(chunk)
                except httpx2.TransportError as error:
                    fault = error
                file.flush()
                os.fsync(file.fileno())
            if fault is not None or (meta.total is not None and size != meta.total):
                raise _broken_off(response, size, meta.total) from fault
            promised = _promised_sha256(response)
        return _complete(
            path, meta, Stored(size=size, sha256=digest.hexdigest(), content_type=meta.content_type), promised
        )

    def _read_head(self, response: httpx2.Response, path: Path, offset: int, meta: _Meta) -> tuple[int, _Meta]:
        status = response.status_code
        if status == 206:
            start, total = _content_range(response)
            if start != offset or (meta.total is not None and total != meta.total):
                _discard(path)
                raise _Broken("the server sent another range than requested")
            return offset, meta
        if status == 416:
            _discard(path)
            raise _Broken("the file has changed")
        if status in {401, 403, 404, 410}:
            raise LinkGone(
                f"The link to {path.name} answers {status}: it has expired, or it needs another token.",
                hint="Reading the prediction again may give a fresh link.",
            )
        if status != 200:
            asked = response.headers.get("retry-after", "")
            raise _Broken(
                f"the server answered {status}", again_in_seconds=min(float(asked), 60) if asked.isdecimal() else None
            )
        meta = _fresh_meta(response, meta.key)
        _part(path).unlink(missing_ok=True)
        _save_meta(path, meta)
        return 0, meta

    @contextmanager
    def _open(self, url: str, headers: Mapping[str, str]) -> Iterator[httpx2.Response]:
        # Redirects are handled here: the token is sent only if the next host is our own server.
        for _ in range(REDIRECTS + 1):
            response = self._ask(url, headers)
            try:
                if not response.is_redirect:
                    yield response
                    return
                url = _redirected(response)
            finally:
                response.close()
        raise NotSaved(f"{url[:200]} cannot be fetched: more than {REDIRECTS} redirects.")

    def _ask(self, url: str, headers: Mapping[str, str]) -> httpx2.Response:
        try:
            request = self._http.build_request("GET", url, headers={**headers, **self._authorization(url)})
            return self._http.send(request, stream=True)
        except (*_NO_URL, httpx2.UnsupportedProtocol, httpx2.LocalProtocolError) as error:
            raise NotSaved(f"The output names {url[:200]!r}, which is not a usable URL: {error}.") from error


# UnicodeError is a ValueError: host names that cannot be encoded
_NO_URL: Final = (httpx2.InvalidURL, ValueError)


def _redirected(response: httpx2.Response) -> str:
    origin = str(response.request.url)
    target = response.headers.get("location", "")
    try:
        url = str(response.request.url.join(target)) if target else ""
    except _NO_URL:
        url = ""
    if not url.startswith(("http://", "https://")):
        raise NotSaved(
            f"{origin[:200]} cannot be fetched: it answers {response.status_code} and redirects"
            f" {'to ' + repr(target[:200]) if target else 'without a location'}."
        )
    return url


def _broken_off(response: httpx2.Response, size: int, total: int | None) -> _Broken:
    from halley.egress.reasons import broke_off  # imported late: needed for errors only

    # without query, user and password, which may grant access
    shown = response.url.copy_with(query=None, fragment=None, username="", password="")
    return _Broken(broke_off(str(shown)[:200], size, total))


def _finished(path: Path, key: str) -> Stored | None:
    # The process may have been killed between "done" and the caller's record: complete the rename.
    done = _load_meta(path, key).done
    if done is None:
        return None
    if matches(_part(path), done.size, done.sha256):
        _part(path).replace(path)
        sync_folder(path.parent)
    return done if matches(path, done.size, done.sha256) else None


def matches(path: Path, size: int, sha256: str) -> bool:
    """Whether the file exists with this size and content."""
    try:
        return path.is_file() and path.stat().st_size == size and _digest_of(path, size)[0].hexdigest() == sha256
    except OSError:
        return False


def forget(path: Path) -> None:
    """Remove the description of a file that is recorded elsewhere."""
    _meta(path).unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make changed names in this folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file so that a reader, or a crash, finds the old or the new content."""
    part = _part(path)
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)


def _complete(path: Path, meta: _Meta, stored: Stored, promised: str | None) -> Stored:
    if promised is not None and promised != stored.sha256:
        _discard(path)
        raise _Broken("the bytes do not match the checksum that the server gave")
    if not matches(_part(path), stored.size, stored.sha256):  # check what is on the disk
        _discard(path)
        raise _Broken("the file on the disk differs from the received bytes")
    meta.done = stored
    _save_meta(path, meta)
    _part(path).replace(path)
    sync_folder(path.parent)
    return stored


def _store_data_url(url: str, path: Path) -> Stored:
    head, comma, body = url[5:].partition(",")
    try:
        raw = unquote_to_bytes(body)
        data = base64.b64decode(b"".join(raw.split()), validate=True) if head.endswith(";base64") else raw
    except (binascii.Error, ValueError) as error:
        raise NotSaved(f"{path.name}: its data: URL cannot be decoded: {error}.") from error
    if not comma:
        raise NotSaved(f"{path.name}: its data: URL has no data.")
    stored = Stored(size=len(data), sha256=hashlib.sha256(data).hexdigest(), content_type=head.split(";")[0] or None)
    write_whole(path, data)
    return stored


def _fresh_meta(response: httpx2.Response, key: str) -> _Meta:
    encoded = _is_encoded(response)
    length = response.headers.get("content-length", "")
    etag = response.headers.get("etag", "")
    strong = etag if re.fullmatch(r'"[^"]*"', etag) else response.headers.get("last-modified")
    return _Meta(
        key=key,
        validator=None if encoded else strong,  # a weak tag may not be used with ranges (RFC 9110, 13.1.5)
        total=int(length) if length.isdecimal() and not encoded else None,
        content_type=response.headers.get("content-type"),
    )


def _is_encoded(response: httpx2.Response) -> bool:
    return response.headers.get("content-encoding", "identity").lower() not in {"", "identity"}


def _content_range(response: httpx2.Response) -> tuple[int | None, int | None]:
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("content-range", "").strip())
    if match is None:
        return None, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _promised_sha256(response: httpx2.Response) -> str | None:
    # RFC 9530: Repr-Digest: sha-256=:<base64>:
    match = re.search(r"sha-256=:([A-Za-z0-9+/=]+):", response.headers.get("repr-digest", ""))
    try:
        return base64.b64decode(match[1], validate=True).hex() if match else None
    except binascii.Error:
        return None


def _digest_of(path: Path, size: int) -> tuple[Any, int]:
    digest, left = hashlib.sha256(), size
    if left:
        with path.open("rb") as file:
            while left and (chunk := file.read(min(left, CHUNK_BYTES))):
                digest.update(chunk)
                left -= len(chunk)
    return digest, size - left


def _load_meta(path: Path, key: str) -> _Meta:
    try:
        meta = msgspec.json.decode(_meta(path).read_bytes(), type=_Meta)
    except (OSError, msgspec.MsgspecError):
        meta = _Meta()
    return meta if meta.key == key else _Meta(key=key)  # a partial file of unknown origin is started again


def _save_meta(path: Path, meta: _Meta) -> None:
    write_whole(_meta(path), msgspec.json.encode(meta))


def _discard(path: Path) -> None:
    _part(path).unlink(missing_ok=True)
    _meta(path).unlink(missing_ok=True)


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _meta(path: Path) -> Path:
    return path.with_name(f"{path.name}.meta")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
