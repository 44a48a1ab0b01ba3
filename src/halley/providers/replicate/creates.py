"""Makes the create of a prediction, and sends it once."""

from typing import Any, Final

import msgspec

from halley.clock import Clock
from halley.dispatch.ports import Work
from halley.dispatch.upstream_hooks import EVENTS
from halley.dispatch.upstreams import UpstreamTarget
from halley.egress.errors import AddressRefused, FetchFailed, NotSent, TooLarge
from halley.providers.replicate.api import UpstreamApi, model_path
from halley.providers.replicate.models import UpstreamModels
from halley.providers.replicate.submit_answers import read_submit
from halley.providers.services.inputs import SentInputs
from halley.providers.services.lists import age_seconds
from halley.providers.services.service_hooks import ServiceHooks, refuses_webhook
from halley.providers.services.verdicts import SubmitAnswer, SubmitVerdict

_KEY_HEADER: Final = "Idempotency-Key"


class Create(msgspec.Struct, frozen=True, kw_only=True):
    """A create. `input` is the JSON object in it; it cannot have arrived before `since`, in elapsed time: the clock may
    be set before it is settled. `webhook` is an address of this server for this attempt alone.
    """

    prediction_id: str
    path: str
    model: str
    version: str | None
    input: bytes
    key: str
    since: float
    webhook: str | None = None

    @property
    def content(self) -> bytes:
        """Its body."""
        content: dict[str, Any] = {"input": msgspec.Raw(self.input)}
        if self.version is not None:
            content["version"] = self.version
        if self.webhook is not None:
            content.update(webhook=self.webhook, webhook_events_filter=EVENTS)
        return msgspec.json.encode(content)


class Creates:
    """Makes creates, and sends them."""

    def __init__(
        self, api: UpstreamApi, models: UpstreamModels, inputs: SentInputs, *, clock: Clock, hooks: ServiceHooks
    ) -> None:
        self._hooks = hooks
        self._api = api
        self._models = models
        self._inputs = inputs
        self._clock = clock

    async def make(
        self,
        work: Work,
        target: UpstreamTarget,
        *,
        is_first: bool,
        may_upload: bool = True,
        webhook: str | None = None,
    ) -> Create:
        """The create of this work. It is the same each time, except for uploads of input files. `is_first`: nothing was
        sent before.

        Raises:
            SubmitRefused: the service can have no such model, or not take this input.
            ProviderBusy: the service must be asked first, and cannot be asked now.
        """
        since = self._clock.elapsed() - (0.0 if is_first else age_seconds(work, self._clock))
        version = target.version
        if version is None and self._api.profile.needs_version:
            version = await self._models.needed_version(target.model)
        path = "/predictions" if version is not None else f"{model_path(target.model)}/predictions"
        given = await self._inputs.prepared(work, may_upload=may_upload)
        return Create(
            prediction_id=work.prediction_id,
            path=path,
            model=target.model,
            version=version,
            input=given,
            key=f"halley-{work.prediction_id}",
            since=since,
            webhook=webhook,
        )

    async def send(self, create: Create) -> SubmitAnswer:
        """Send it once, and judge the answer; its text is for callers.

        If the service refuses it because of its webhook, it has begun nothing: then it is sent without.
        """
        if create.webhook is not None and not self._hooks.are_refused:
            answer = await self._post(create)
            if answer.verdict is not SubmitVerdict.REFUSED or not refuses_webhook(answer.text):
                return answer
            without = await self._post(msgspec.structs.replace(create, webhook=None))
            if without.verdict in (SubmitVerdict.SUBMITTED, SubmitVerdict.UNKNOWN):
                self._hooks.refuse(answer.text)  # else it may have refused something else of that name
            return without
        return await self._post(msgspec.structs.replace(create, webhook=None))

    async def _post(self, create: Create) -> SubmitAnswer:
        """On a connection of its own."""
        profile = self._api.profile
        headers = ((_KEY_HEADER, create.key),) if profile.key_seconds else ()
        try:
            answer = await self._api.send(
                "POST", create.path, create.content, headers=headers, fresh=True, is_submit=True
            )
        except (NotSent, AddressRefused) as error:
            return SubmitAnswer(verdict=SubmitVerdict.BUSY, text=str(error))
        except (FetchFailed, TooLarge) as error:
            return SubmitAnswer(verdict=SubmitVerdict.UNKNOWN, text=str(error))
        verdict = read_submit(profile, answer.response, answer.body)
        return msgspec.structs.replace(verdict, text=self._api.journal.for_callers(verdict.text))
