"""A browser without a window: it keeps cookies, sends what browsers send, and posts forms with their token."""

import re
from collections.abc import AsyncGenerator
from typing import Any, Self
from urllib.parse import urlencode

from api.world import Reply, World

Form = dict[str, str] | list[tuple[str, str]]
FORM = "application/x-www-form-urlencoded"


async def nothing() -> dict[str, Any]:
    """No body."""
    return {"type": "http.request", "body": b"", "more_body": False}


class Browser:
    """Asks the pages of a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.cookies: dict[str, str] = {}
        self.origin = "http://localhost:1986"
        self.host = "localhost:1986"

    async def signed_in(self, key: str) -> Self:
        reply = await self.post("/ui/sign-in", {"key": key}, token=None)
        assert reply.status == 303, reply.body
        return self

    async def get(self, path: str, **headers: str) -> Reply:
        return await self._ask("GET", path, headers=headers)

    async def post(self, path: str, form: Form | None = None, *, token: str | None = "", **headers: str) -> Reply:
        """Post a form; pairs if a name occurs more than once. `token`: its form token; "" is the right one, None is
        none.
        """
        fields = list(form.items() if isinstance(form, dict) else form or ())
        if token is not None:
            fields.append(("csrf", token or self.form_token))
        sent = {"origin": self.origin, "sec_fetch_site": "same-origin", "content_type": FORM, **headers}
        return await self._ask("POST", path, body=urlencode(fields).encode(), headers=sent)

    async def upload(
        self,
        path: str,
        name: str,
        data: bytes,
        content_type: str = "text/plain",
        *,
        part: str = "content",
        fields: dict[str, str] | None = None,
    ) -> Reply:
        """Post a form with one file, in `part`, and other fields."""
        texts = {"csrf": self.form_token, **(fields or {})}
        parts = [
            *(
                f'--b\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{text}\r\n'.encode()
                for field, text in texts.items()
            ),
            f'--b\r\nContent-Disposition: form-data; name="{part}"; filename="{name}"\r\n'.encode(),
            f"Content-Type: {content_type}\r\n\r\n".encode(),
            data,
            b"\r\n--b--\r\n",
        ]
        sent = {
            "origin": self.origin,
            "sec_fetch_site": "same-origin",
            "content_type": "multipart/form-data; boundary=b",
        }
        return await self._ask("POST", path, body=b"".join(parts), headers=sent)

    @property
    def form_token(self) -> str:
        cookie = next((value for name, value in self.cookies.items() if "halley_session" in name), "")
        return self.world.sign_ins.form_token(cookie)

    async def _ask(self, method: str, path: str, *, headers: dict[str, str], body: bytes = b"") -> Reply:
        sent = {"host": self.host, **{name.replace("_", "-"): value for name, value in headers.items() if value}}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        reply = await self.world.request(method, path, body=body, headers=sent, token=None)
        for name, value in reply.raw_headers:
            if name == b"set-cookie":
                self._keep(value.decode())
        return reply

    async def open_stream(self, path: str) -> AsyncGenerator[bytes, None]:
        """The pieces of an event stream, as they come."""
        path, _, query = path.partition("?")
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(b"host", b"localhost:1986"), (b"cookie", cookies.encode())],
            "scheme": "http",
            "server": ("127.0.0.1", 1986),
            "client": ("127.0.0.1", 50000),
        }
        _, answer = await self.world.api.begin(scope, nothing)
        assert answer.chunks is not None, answer.body
        return answer.chunks

    def _keep(self, text: str) -> None:
        found: Any = re.match(r"([^=]+)=([^;]*);.*Max-Age=(\d+)", text)
        assert found, text
        if found[3] == "0":
            self.cookies.pop(found[1], None)
        else:
            self.cookies[found[1]] = found[2]
