"""Downloads a file from a route of the service itself, with its token, to this machine."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import anyio
import msgspec

from halley.assets.names import name_from_answer
from halley.egress import OpenAnswer, OriginClient
from halley.egress.body import FileSink
from halley.egress.errors import FetchFailed, TooLarge

SILENCE_SECONDS: Final = 60.0  # before it sends the first byte, a service may have to fetch the file itself


class DownloadRules(msgspec.Struct, frozen=True, kw_only=True):
    """How large a file may be, and how long it may take."""

    limit_bytes: int
    deadline_seconds: float


class Downloaded(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. There is a file only if the status is 200; `name` is a safe file name."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    name: str
    size_bytes: int = 0


async def download(
    origin: OriginClient, path: str, headers: Sequence[tuple[str, str]], to: Path, rules: DownloadRules
) -> Downloaded:
    """Write the body of an answer with status 200 to the new file `to`. Of other answers only the headers are read.

    Raises:
        TooLarge: it is longer than the limit.
        FetchFailed: there was no complete answer in time.
    """
    try:
        with anyio.fail_after(rules.deadline_seconds):
            async with origin.exchange("GET", path, headers=headers, silence_seconds=SILENCE_SECONDS) as answer:
                size = await _saved(answer, to, rules.limit_bytes) if answer.status == 200 else 0
    except TimeoutError as error:
        raise FetchFailed(f"The file took longer than {rules.deadline_seconds:g} s.") from error
    except OSError as error:
        raise FetchFailed(f"The file cannot be written here: {error.strerror}.") from error
    name = name_from_answer(answer.headers.get("content-disposition", ""), path)
    return Downloaded(status=answer.status, headers=answer.headers, name=name, size_bytes=size)


async def _saved(answer: OpenAnswer, to: Path, limit_bytes: int) -> int:
    if answer.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise FetchFailed("The file came compressed although the request did not allow compression.")
    length = answer.headers.get("content-length", "")  # its digits are checked by the HTTP client
    if length.isdecimal() and int(length) > limit_bytes:
        raise _too_large(limit_bytes)
    size = 0
    sink = await FileSink.create(to)
    try:
        async for chunk in answer.chunks:
            size += len(chunk)
            if size > limit_bytes:
                raise _too_large(limit_bytes)
            await sink.write(chunk)
        await sink.finish()
    except BaseException:
        sink.discard()
        raise
    return size


def _too_large(limit_bytes: int) -> TooLarge:
    return TooLarge(f"The file is larger than the limit of {limit_bytes} bytes.")
