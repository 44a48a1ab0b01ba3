"""Our own style sheets and scripts. Their URLs contain a digest of all of them, so browsers may keep them."""

import gzip
import hashlib
from functools import cached_property
from importlib.resources import files
from typing import Final

from halley.api.http.asgi import Call, Headers, Response
from halley.errors import NotFound

_TYPES: Final = {
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".ico": b"image/x-icon",
    ".webmanifest": b"application/manifest+json",
}
_FOR_EVER: Final = b"public, max-age=31536000, immutable"
PATTERN: Final = "/ui/static/{digest}/{name}"


class Assets:
    """Files in `web/static`, read at the first use and kept: they are few and small."""

    @cached_property
    def _files(self) -> dict[str, tuple[bytes, bytes]]:
        found = {}
        for one in sorted(files("halley.web").joinpath("static").iterdir(), key=lambda file: file.name):
            if one.is_file() and "." in one.name and f".{one.name.rpartition('.')[2]}" in _TYPES:
                data = one.read_bytes()
                found[one.name] = (data, gzip.compress(data, 9, mtime=0))
        return found

    @cached_property
    def digest(self) -> str:
        """Of all files: a script may import another one beside it."""
        whole = hashlib.sha256()
        for name, (data, _) in self._files.items():
            whole.update(b"%b %d\n%b" % (name.encode(), len(data), data))
        return whole.hexdigest()[:16]

    def path(self, name: str) -> str:
        """The path of a file, with the digest.

        Raises:
            KeyError: there is no such file: a template is wrong.
        """
        if name not in self._files:
            raise KeyError(name)
        return f"/ui/static/{self.digest}/{name}"

    def gzipped_bytes(self, name: str) -> int:
        """How much of a connection a file takes."""
        return len(self._files[name][1])

    async def serve(self, call: Call) -> Response:
        """A file."""
        digest, name = call.params
        found = self._files.get(name)
        if found is None:
            raise NotFound("There is no such file")
        headers: Headers = [
            (b"content-type", _TYPES[f".{name.rpartition('.')[2]}"]),
            # a page of an older server may ask with another digest
            (b"cache-control", _FOR_EVER if digest == self.digest else b"no-cache"),
            (b"x-content-type-options", b"nosniff"),
            (b"vary", b"Accept-Encoding"),
        ]
        if "gzip" in call.joined(b"accept-encoding"):
            return Response(headers=[*headers, (b"content-encoding", b"gzip")], body=found[1])
        return Response(headers=headers, body=found[0])
