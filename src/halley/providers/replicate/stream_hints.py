"""Listens to the event stream of a run. An event is only a hint that the run has changed: a poll reads the change."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from halley.errors import HalleyError
from halley.providers.services.stream_sources import OpenStream

_log: Final = logging.getLogger(__name__)

_FIELD: Final = b"data:"  # comments, which keep the connection, have none


class StreamHints:
    """The stream of one run, while the block runs. One that breaks is not opened again: polls continue without it."""

    def __init__(self, open_stream: OpenStream, hint: Callable[[], None]) -> None:
        self._open = open_stream
        self._hint = hint
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def listen(self, url: str) -> None:
        """Open the stream at the URL, if none was opened before."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._listen(url))

    async def _listen(self, url: str) -> None:
        try:
            async with aclosing(self._open(url)) as chunks:
                async for chunk in chunks:
                    if _FIELD in chunk:
                        self._hint()
        except HalleyError as error:
            path = urlsplit(url).path or url  # with the rest of it, anybody may read the stream
            _log.info("a run is only polled, its stream cannot be read: %s", str(error).replace(path, "/..."))
