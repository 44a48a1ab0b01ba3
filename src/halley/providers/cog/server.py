"""One Cog server: its address, its state, how many of our runs it has, and the requests to it."""

import hashlib
from contextlib import AbstractAsyncContextManager
from typing import Final
from urllib.parse import quote

from halley.clock import Clock
from halley.egress import EgressResponse, OpenAnswer, OriginClient
from halley.egress.errors import AddressRefused, FetchFailed, TooLarge
from halley.providers.cog.health import Abilities, Health, read_abilities, read_health
from halley.providers.cog.report import refusal
from halley.providers.services.answers import is_large, read_object
from halley.providers.services.api import Answer
from halley.providers.services.journal import Journal
from halley.providers.services.run_snapshot import RunSnapshot, read_run

ANSWER_LIMIT_BYTES: Final = 128 * 2**20  # files are in it as `data:` URLs
ASK_SECONDS: Final = 5.0  # for a question about health, about a run, or a cancel
STATE_QUERY: Final = b'{"input":0}'  # refused by every schema; a server that has this run shows its state instead
_LABEL_CHARS: Final = 8


class CogServer:
    """`slots` is how many runs it does at once; `name` is that of its provider."""

    def __init__(
        self,
        origin: OriginClient,
        *,
        name: str | None = None,
        token: str | None,
        slots: int,
        ask_seconds: float,
        clock: Clock,
    ) -> None:
        self.url: Final = origin.url("")
        self.slots: Final = slots
        self.label: Final = hashlib.sha256(self.url.encode()).hexdigest()[:_LABEL_CHARS]
        self.origin: Final = origin
        self.journal: Final = Journal(clock, token=token, url=self.url, name=name)
        self.health = Health(why="It has not been asked yet.")
        self.abilities = Abilities()
        self.lagged_at: float | None = None  # when it last ended a stream because events were not read in time
        self.checked_at: float | None = None
        self.running = 0  # runs of ours
        self.refused_at: float | None = None  # when it last said that all its slots are taken
        self._ask_seconds = ask_seconds
        self._clock = clock
        self.use_token(token)

    def use_token(self, token: str | None) -> None:
        """Send this token from now on."""
        self._headers = [] if token is None else [("authorization", f"Bearer {token}")]
        if token is not None:
            self.journal.hide(token)

    def handle_of(self, run_id: str) -> str:
        """The handle of a run here."""
        return f"{self.label}:{run_id}"

    # state

    async def check(self) -> None:
        """Ask for its health, and for its abilities if they may have changed."""
        try:
            answer = await self.ask("GET", "/health-check")
            health = (
                read_health(answer.body, self.journal.without_token)
                if answer.status == 200
                else Health(why=answer.fault)
            )
            if health.serves and (not self.abilities.document or health.started != self.health.started):
                document = await self.ask("GET", "/openapi.json")
                self.abilities = read_abilities(document.body if document.status == 200 else None, health)
        except (FetchFailed, TooLarge, AddressRefused) as error:
            self.mark_unreachable(str(error))
        else:
            self.health = health
            self.checked_at = self._clock.monotonic()

    def mark_unreachable(self, why: str) -> None:
        """Note that it cannot be reached."""
        self.journal.note(why)
        self.health = Health(why=why)
        self.checked_at = self._clock.monotonic()

    # requests

    async def ask(self, method: str, path: str, content: bytes = b"") -> Answer:
        """A short question.

        Raises:
            FetchFailed, TooLarge, AddressRefused: there was no complete answer.
        """
        response = await self.origin.request(
            method,
            path,
            headers=[("accept", "application/json"), *self._kind(content)],
            content=content,
            limit_bytes=ANSWER_LIMIT_BYTES,
            deadline_seconds=self._ask_seconds,
        )
        return await self.read(response)

    async def query_state(self, run_id: str) -> RunSnapshot | None:
        """The state of a run, None if it does not run. Only for a server that `can_query_state`.

        Raises:
            FetchFailed, TooLarge, AddressRefused: there was no complete answer.
        """
        answer = await self.ask("PUT", run_path(run_id), STATE_QUERY)
        large = is_large(answer.response)
        return read_run(answer.body, run_id, is_large=large) if answer.status == 202 else None

    async def cancel(self, run_id: str) -> Answer:
        """Ask it to stop a run."""
        return await self.ask("POST", f"{run_path(run_id)}/cancel")

    async def read(self, response: EgressResponse) -> Answer:
        """The answer with its JSON object, and what it says of a fault."""
        body = await read_object(response, has_envelope=False)
        fault = self.journal.without_token(refusal(response.status, body))
        return Answer(response=response, body=body, fault=self.journal.for_callers(fault))

    def put(
        self, run_id: str, content: bytes, *, is_stream: bool, silence_seconds: float
    ) -> AbstractAsyncContextManager[OpenAnswer]:
        """Begin a run, or join the one with this id; see `OriginClient.exchange`."""
        accept = "text/event-stream" if is_stream else "application/json"
        headers = [("accept", accept), *self._kind(content)]
        return self.origin.exchange(
            "PUT", run_path(run_id), headers=headers, content=content, silence_seconds=silence_seconds
        )

    def _kind(self, content: bytes) -> list[tuple[str, str]]:
        return [*self._headers, *([("content-type", "application/json")] if content else [])]


def run_path(run_id: str) -> str:
    """The path of a run."""
    return f"/predictions/{quote(run_id, safe='')}"


Unreachable = (FetchFailed, TooLarge, AddressRefused)
"""What a request raises that had no complete answer."""
