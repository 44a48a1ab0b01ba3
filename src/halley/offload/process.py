"""The server's side of the JSON process: starts it when needed, ends it when idle, replaces it when it fails."""

import asyncio
import logging
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from anyio import to_thread

from halley.errors import Overloaded
from halley.offload import messages
from halley.offload.child import receive
from halley.predictions.large import BodyOutline, Findings, Json, Link, Pointer
from halley.strict_json import JsonLimits

_log = logging.getLogger(__name__)

REPLY_SECONDS: Final = 20.0  # a valid body takes one or two
IDLE_SECONDS: Final = 30.0
WAITING: Final = 64
_PASSED_ON: Final = ("HOME", "LANG", "PATH")

R = TypeVar("R")


class JsonProcess:
    """Does one request after the other. An async context manager; on exit the process has ended.

    Implements the protocols of `predictions.large`. Every method raises Overloaded if too many requests wait, or if the
    process failed or took too long.
    """

    def __init__(self, environ: Mapping[str, str], inline_data_bytes: int) -> None:
        """`environ` is the server's; the process gets a small part. `inline_data_bytes` is the most that a `data:` URL
        contains.
        """
        self._inline_data_bytes = inline_data_bytes
        self._environ = {name: environ[name] for name in _PASSED_ON if name in environ}
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._running: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._asked: asyncio.Future[Any] | None = None  # the running request whose caller has gone

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._idle is not None:
            self._idle.cancel()
        async with self._turn:
            self._end()

    async def parse(self, body: bytes, limits: JsonLimits, *, digest_head: bytes | None) -> BodyOutline:
        """Parse the body of a create. Raises as `strict_json.parse` does, and TooLarge for a `data:` URL."""
        request = messages.Parse(
            json_body_bytes=limits.json_body_bytes,
            json_depth=limits.json_depth,
            json_values=limits.json_values,
            inline_data_bytes=self._inline_data_bytes,
            digest_head=digest_head,
        )
        return (await self._ask(request, body, messages.Parsed)).outline

    async def examine(self, version: str, document: bytes, input_json: bytes, *, strict: bool, most: int) -> Findings:
        """The result of `predictions.inputs.look`; `document` is empty for a version without a schema yet."""
        request = messages.Examine(
            version=version,
            document=document,
            strict=strict,
            most=most,
            inline_data_bytes=self._inline_data_bytes,
        )
        return (await self._ask(request, input_json, messages.Examined)).findings

    async def links(self, version: str, document: bytes, input_json: bytes) -> Sequence[Link]:
        """The strings in file positions; at most one more than LINKS_LIMIT."""
        request = messages.Links(version=version, document=document)
        return (await self._ask(request, input_json, messages.Linked)).links

    async def unfit(self, value: Json) -> str | None:
        """See `strict_json.unfit`."""
        return (await self._ask(messages.Unfit(), value, messages.Judged)).fault

    async def texts(self, value: Json, pointers: Sequence[Pointer]) -> Sequence[str | None]:
        """The texts at these places; None where there is no text."""
        return (await self._ask(messages.Texts(pointers=tuple(pointers)), value, messages.FoundTexts)).texts

    async def fill(self, value: Json, texts: Sequence[Link]) -> bytes:
        """The value with these texts at their places."""
        return (await self._ask(messages.Fill(texts=tuple(texts)), value, messages.Filled)).value

    async def _ask(self, request: messages.Request, large: Json, wanted: type[R]) -> R:
        if self._waiting >= WAITING:
            raise Overloaded("Too many large JSON bodies are waiting to be read. Try again in a moment.")
        self._waiting += 1
        try:
            await self._turn.acquire()
            # a separate task: the caller may be cancelled, and the next request must not get this reply
            self._asked = asyncio.ensure_future(self._in_turn(request, large))
            self._asked.add_done_callback(_retrieve_exception)
            reply = await asyncio.shield(self._asked)
        finally:
            self._waiting -= 1
        if isinstance(reply, messages.Failed):
            raise messages.error_of(reply)
        if not isinstance(reply, wanted):
            raise TypeError(f"the JSON process answered {type(reply).__name__}, not {wanted.__name__}")
        return reply

    async def _in_turn(self, request: messages.Request, large: Json) -> Any:
        """Send the request, and let the next one begin when the reply has come."""
        try:
            if self._idle is not None:
                self._idle.cancel()
            return await to_thread.run_sync(self._exchange, request, large)
        finally:
            self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._end_if_idle)
            self._turn.release()

    def _exchange(self, request: messages.Request, large: Json) -> Any:
        """In a thread: send, wait, receive."""
        try:
            _, sock = self._running or self._start()
            for sent in (messages.encode(request), large):
                sock.sendall(messages.LENGTH.pack(len(sent)))
                sock.sendall(sent)
            reply = receive(sock)
        except OSError as error:  # a time limit, too, is an OSError
            self._end()
            _log.warning("the process that reads large JSON was stopped: %s", error)
            raise Overloaded("The large JSON body could not be read in time. Try again in a moment.") from error
        if reply is None:
            status = self._end()
            _log.warning("the process that reads large JSON ended with status %s", status)
            raise Overloaded("The process that reads large JSON bodies ended. Try again in a moment.")
        return messages.decode_reply(reply)

    def _start(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, theirs = socket.socketpair()
        try:
            process = subprocess.Popen(
                # -P: modules in the folder where the server was started are not ours
                [sys.executable, "-P", "-m", "halley.offload.child", str(theirs.fileno())],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.settimeout(REPLY_SECONDS)
        self._running = process, ours
        return self._running

    def _end_if_idle(self) -> None:
        if not self._turn.locked():
            self._end()

    def _end(self) -> int | None:
        """End the process; returns its exit status."""
        if self._running is None:
            return None
        process, sock = self._running
        self._running = None
        sock.close()
        process.kill()
        return process.wait()


def _retrieve_exception(asked: asyncio.Future[Any]) -> None:
    """Retrieve the exception, since the caller may have gone."""
    if not asked.cancelled():
        asked.exception()
