"""Faults of the fake service."""

import json
from typing import Any, Final, Literal

import msgspec

HTML: Final = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


class ServiceFault(msgspec.Struct, frozen=True, kw_only=True):
    """How one request is treated.

    `acts`: the request has its effect before the fault shows. `cut`: the connection ends when the headers of the
    request have arrived, before its answer, or in the middle of the answer. `raw`: this is the answer. `headers` are
    added to it.
    """

    acts: bool = False
    cut: Literal["body", "answer", "middle"] | None = None
    raw: bytes | None = None
    seconds: float = 0.0  # before the answer
    headers: dict[str, str] = {}


def answer(
    status: int, body: Any = b"", *, kind: str = "application/json", headers: dict[str, str] | None = None
) -> bytes:
    """An HTTP answer as bytes; `body` that is not bytes is sent as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"content-type": kind, "content-length": str(len(data)), **(headers or {})}
    head = f"HTTP/1.1 {status} Said\r\n" + "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return head.encode() + b"\r\n" + data


def says(
    status: int, body: Any = b"", *, acts: bool = False, kind: str = "application/json", **headers: str
) -> ServiceFault:
    """A fault that is an answer; header names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ServiceFault(acts=acts, raw=answer(status, body, kind=kind, headers=named))


def problem(status: int, title: str, detail: str = "") -> ServiceFault:
    """A problem document, as Halley writes it."""
    body = {"title": title, "detail": detail or title, "status": status, "instance": "urn:request:r1"}
    return says(status, body, kind="application/problem+json")
