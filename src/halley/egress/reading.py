"""Reads the body of an answer into a sink, within a limit."""

from typing import TYPE_CHECKING, Final, Protocol

from halley.egress.errors import FetchFailed, TooLarge
from halley.egress.reasons import broke_off
from halley.egress.targets import EgressTarget

if TYPE_CHECKING:
    import httpcore2

SILENCE_SECONDS: Final = 15.0  # without any byte for this time a request ends, even before its deadline


class Sink(Protocol):
    """Receives the bytes of a body."""

    async def write(self, data: bytes) -> None: ...


async def read_body(
    response: "httpcore2.Response", sink: Sink, target: EgressTarget, limit_bytes: int, *, before_bytes: int = 0
) -> int:
    """Write the body to the sink; returns its size. `before_bytes` of the file have arrived earlier.

    Raises:
        TooLarge: it is longer than `limit_bytes`.
        FetchFailed: it broke off, or is compressed.
    """
    import httpcore2

    headers = headers_of(response)
    # we asked for identity; decompressing anyway would allow decompression bombs
    if headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise FetchFailed(f"{target.shown} sent a compressed answer although the request did not allow compression.")
    length = headers.get("content-length", "")
    too_large = TooLarge(f"{target.shown} is larger than the limit of {limit_bytes} bytes.")
    total_bytes = int(length) if length.isdigit() else None
    if total_bytes is not None and before_bytes + total_bytes > limit_bytes:
        raise too_large
    size_bytes = 0
    try:
        async for chunk in response.aiter_stream():
            size_bytes += len(chunk)
            if before_bytes + size_bytes > limit_bytes:
                raise too_large
            await sink.write(chunk)
    except httpcore2.TimeoutException as error:
        ended = broke_off(target.shown, size_bytes, total_bytes)
        raise FetchFailed(f"{_begun(ended)}: no data arrived for {SILENCE_SECONDS:g} s.") from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        raise FetchFailed(f"{_begun(broke_off(target.shown, size_bytes, total_bytes))}.") from error
    return size_bytes


def _begun(text: str) -> str:
    return text[:1].upper() + text[1:]


def headers_of(response: "httpcore2.Response") -> dict[str, str]:
    """Its headers, with names in lower case; of repeated ones the last counts."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
