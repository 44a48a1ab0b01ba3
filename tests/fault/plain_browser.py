"""A signed-in browser without a window."""

import socket
from contextlib import suppress
from http.client import HTTPConnection
from typing import Final
from urllib.parse import urlencode

from process import Halley

FORM: Final = "application/x-www-form-urlencoded"


class Browser:
    """Keeps the cookies of one sign-in."""

    def __init__(self, server: Halley, key: str) -> None:
        self._server = server
        self._cookies: dict[str, str] = {}
        assert self.ask("POST", "/ui/sign-in", {"key": key})[0] == 303
        page = self.ask("GET", "/ui/files")[1]
        self._token = page.partition(b'name="csrf" value="')[2].partition(b'"')[0].decode()
        assert self._token

    def post(self, path: str, form: dict[str, str]) -> int:
        return self.ask("POST", path, {"csrf": self._token, **form})[0]

    def ask(self, method: str, path: str, form: dict[str, str] | None = None) -> tuple[int, bytes]:
        line = HTTPConnection("127.0.0.1", self._server.port, timeout=30)
        try:
            line.request(method, path, urlencode(form) if form else None, self._headers())
            answer = line.getresponse()
            for name, value in answer.getheaders():
                if name.lower() == "set-cookie":
                    one, _, rest = value.partition("=")
                    self._cookies[one] = rest.partition(";")[0]
            return answer.status, answer.read()
        finally:
            line.close()

    def see(self, path: str, *also: int) -> None:
        status, page = self.ask("GET", path)
        assert status in (200, *also), (path, status, page[:2000])

    def open(self, path: str) -> socket.socket:
        """An event stream, of which the beginning has arrived."""
        line = socket.create_connection(("127.0.0.1", self._server.port), timeout=10)
        head = "".join(f"{name}: {value}\r\n" for name, value in self._headers().items())
        line.sendall(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{self._server.port}\r\n{head}\r\n".encode())
        with suppress(TimeoutError):
            line.recv(4096)
        return line

    def _headers(self) -> dict[str, str]:
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        return {"cookie": cookies, "accept": "text/html", "content-type": FORM, "origin": self._server.url}
