"""Sends the requests to a service, with its token, to paths below its URL; and learns from each answer."""

from collections.abc import Callable, Container
from typing import Any, Final

import msgspec

from halley.dispatch.upstreams import Answered
from halley.egress import EgressResponse, OriginClient
from halley.egress.errors import AddressRefused, FetchFailed, TooLarge
from halley.errors import ProviderBusy
from halley.providers.services.answers import Body, error_text, object_of, read_json
from halley.providers.services.journal import Journal
from halley.providers.services.pace import ServicePace

ABSENT: Final = frozenset({404, 410})
NOT_SHOWN: Final = frozenset(range(400, 500)) - {401, 408, 429}
"""Statuses about one object, which may exist although the service does not show it."""

ANSWER_LIMIT_BYTES: Final = 64 * 2**20  # an output may contain `data:` URLs


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A complete answer. `value` is its JSON; `body` is the same if it is an object, without its envelope. `fault`
    describes the answer as an error, in a sentence for callers.
    """

    response: EgressResponse
    body: Body | None
    value: Any = None
    fault: str

    @property
    def status(self) -> int:
        return self.response.status


IsRefusal = Callable[[EgressResponse, Body | None], bool]
"""Whether a 5xx answer is a refusal of the service itself, and not a sign that the service fails."""


class ServiceApi:
    """Sends requests to one service. Its token goes nowhere else, because redirects are not followed."""

    limit_bytes = ANSWER_LIMIT_BYTES  # of one answer

    def __init__(
        self,
        origin: OriginClient,
        *,
        token: str | None,
        timeout_seconds: float,
        pace: ServicePace,
        journal: Journal,
        answered: Answered,
        has_envelope: bool = False,
        is_refusal: IsRefusal | None = None,
    ) -> None:
        """`has_envelope`: answers may be inside {"code", "message", "data"}."""
        self.pace = pace
        self.journal = journal
        self._origin = origin
        self.use_token(token)
        self._timeout_seconds = timeout_seconds
        self._answered = answered
        self._has_envelope = has_envelope
        self._is_refusal = is_refusal

    def use_token(self, token: str | None) -> None:
        """Send this token from now on."""
        self.authorization = () if token is None else (self._with_token(token),)

    def _with_token(self, token: str) -> tuple[str, str]:
        """The header that has the token."""
        return "authorization", f"Bearer {token}"

    async def send(
        self,
        method: str,
        path: str,
        content: bytes = b"",
        *,
        headers: tuple[tuple[str, str], ...] = (),
        fresh: bool = False,
        is_submit: bool = False,
    ) -> Answer:
        """Send one request; `is_submit`: it begins a run, which has limits of its own.

        Raises:
            NotSent: the request has certainly not arrived. FetchFailed, TooLarge: there was no complete answer. The
            message is for callers: it does not contain the address of the service.
        """
        kind = [("content-type", "application/json")] if content else []  # `headers` may contain another one
        try:
            response = await self._origin.request(
                method,
                path,
                headers=[("accept", "application/json"), *self.authorization, *kind, *headers],
                content=content,
                limit_bytes=self.limit_bytes,
                deadline_seconds=self._timeout_seconds,
                fresh=fresh,
            )
            value = await read_json(response)
        except (FetchFailed, TooLarge, AddressRefused) as error:
            self.journal.note(str(error))
            self._answered(isinstance(error, TooLarge))
            error.args = (self.journal.for_callers(str(error)),)
            raise
        body = object_of(value, has_envelope=self._has_envelope)
        fault = f"It answered {response.status}: {error_text(body) or 'without a reason that can be read'}"
        self.pace.note(response, body, is_submit=is_submit)
        self._answered(response.status < 500 or (self._is_refusal is not None and self._is_refusal(response, body)))
        if response.status >= 400 and response.status != 404:
            self.journal.note(fault)
        return Answer(response=response, body=body, value=value, fault=self.journal.for_callers(fault))

    async def get(self, path: str, *, absent: Container[int] = ABSENT) -> Body | None:
        """The object at the path; None if there is none, which the statuses in `absent` say.

        Raises:
            ProviderBusy: the service cannot be asked now.
        """
        self.pace.check()
        try:
            answer = await self.send("GET", path)
        except (FetchFailed, TooLarge) as error:
            raise ProviderBusy(str(error)) from error
        if answer.status in absent:
            return None
        if answer.status != 200 or answer.body is None:
            raise ProviderBusy(answer.fault)
        return answer.body
