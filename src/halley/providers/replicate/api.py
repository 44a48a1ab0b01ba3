"""The requests to a service: addresses below its own URL, its token, and what every answer teaches about it."""

from typing import Final
from urllib.parse import quote

import msgspec

from halley.dispatch.upstreams import Answered
from halley.egress import EgressResponse, OriginClient
from halley.egress.errors import AddressRefused, FetchFailed, TooLarge
from halley.errors import ProviderBusy, SubmitRefused
from halley.providers.replicate.answers import Body, error_text, read_object
from halley.providers.replicate.journal import Journal
from halley.providers.replicate.pace import ServicePace
from halley.providers.replicate.profiles import Profile
from halley.providers.replicate.submit_answers import proves_nothing

ANSWER_LIMIT_BYTES: Final = 64 * 2**20  # an output may contain `data:` URLs


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A complete answer, and its JSON object, if it has one."""

    response: EgressResponse
    body: Body | None

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def fault(self) -> str:
        """The answer as a fault, in a sentence."""
        return f"It answered {self.status}: {error_text(self.body) or 'without a reason that can be read'}"


class UpstreamApi:
    """Sends requests to one service. Its token goes nowhere else, because redirects are not followed."""

    def __init__(
        self,
        origin: OriginClient,
        *,
        token: str | None,
        profile: Profile,
        timeout_seconds: float,
        pace: ServicePace,
        journal: Journal,
        answered: Answered,
    ) -> None:
        self.profile = profile
        self.pace = pace
        self.journal = journal
        self._origin = origin
        self.use_token(token)
        self._timeout_seconds = timeout_seconds
        self._answered = answered

    def use_token(self, token: str | None) -> None:
        """Send this token from now on."""
        self._headers = [] if token is None else [("authorization", f"Bearer {token}")]

    async def send(
        self,
        method: str,
        path: str,
        content: bytes = b"",
        *,
        headers: tuple[tuple[str, str], ...] = (),
        fresh: bool = False,
    ) -> Answer:
        """Send one request.

        Raises:
            NotSent: it has not arrived.
            FetchFailed, TooLarge: there was no complete answer.
        """
        kind = [("content-type", "application/json")] if content else []  # `headers` may say another
        try:
            response = await self._origin.request(
                method,
                path,
                headers=[("accept", "application/json"), *self._headers, *kind, *headers],
                content=content,
                limit_bytes=ANSWER_LIMIT_BYTES,
                deadline_seconds=self._timeout_seconds,
                fresh=fresh,
            )
        except (FetchFailed, TooLarge, AddressRefused) as error:
            self.journal.note(str(error))
            self._answered(False)
            raise
        body = await read_object(response, has_envelope=self.profile.has_envelope)
        answer = Answer(response=response, body=body)
        self.pace.note(response, body)
        self._answered(response.status < 500 or proves_nothing(self.profile, response, body))
        if response.status >= 400 and response.status != 404:
            self.journal.note(answer.fault)
        return answer

    async def get(self, path: str) -> Body | None:
        """The object at the path; None if there is none.

        Raises:
            ProviderBusy: the service cannot be asked now.
        """
        self.pace.check()
        try:
            answer = await self.send("GET", path)
        except (FetchFailed, TooLarge) as error:
            raise ProviderBusy(str(error)) from error
        if answer.status in (404, 410):
            return None
        if answer.status != 200 or answer.body is None:
            raise ProviderBusy(answer.fault)
        return answer.body


def run_path(handle: str) -> str:
    """The path of a prediction."""
    return f"/predictions/{quote(handle, safe='')}"


def model_path(model: str) -> str:
    """The path of the model `owner/name`.

    Raises:
        SubmitRefused: there can be no such model.
    """
    parts = model.split("/")
    if len(parts) != 2 or any(part in ("", ".", "..") for part in parts):
        raise SubmitRefused(f"{model!r} is no name of a model.")
    return "/models/" + "/".join(quote(part, safe="") for part in parts)
