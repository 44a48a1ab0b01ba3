"""What the providers for services have in common. Implements a part of `dispatch.upstreams.UpstreamProvider`."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from math import ceil
from typing import Final, Generic, TypeVar

import msgspec

from halley.clock import Clock
from halley.dispatch.ports import Outcome, RunListener, Work
from halley.egress import OriginClient
from halley.errors import OutcomeUnknown, ProviderBusy, SubmitRefused
from halley.predictions.submits import UNKNOWN_REASON
from halley.providers.services.api import Answer, ServiceApi
from halley.providers.services.cancels import GRACE_SECONDS, UpstreamCancels
from halley.providers.services.dependencies import UpstreamDependencies
from halley.providers.services.journal import Journal
from halley.providers.services.pace import ServicePace
from halley.providers.services.poll_rules import PollRules
from halley.providers.services.poller import PolledState, Poller, Watch
from halley.providers.services.runs import Run
from halley.providers.services.slots import SharedSlots
from halley.providers.services.verdicts import SubmitAnswer, SubmitVerdict


class ServiceRules(msgspec.Struct, frozen=True, kw_only=True):
    """How one service is used; the settings of `[providers.NAME]`. Times in seconds."""

    token: str | None = None
    max_in_flight: int = 20
    timeout_seconds: float = 60.0  # of one request
    look_seconds: float = 30.0  # how long to look for the run of a submit without a clear answer
    data_url_bytes: int = 256_000
    cancel_grace_seconds: float = GRACE_SECONDS
    limits: Mapping[str, int] = {}  # runs at once of single versions
    broken: Mapping[str, str] = {}  # versions that cannot run, and why


R = TypeVar("R", bound=Run)


class ServiceProvider(SharedSlots, ABC, Generic[R]):
    """One service. Its runs outlive this process: they are adopted, and never submitted twice."""

    is_local: Final = False
    place = ""
    may_share_run_ids = False  # see `dispatch.routing.ProviderRoute`
    _api: ServiceApi

    def __init__(
        self,
        origin: OriginClient,
        rules: ServiceRules,
        dependencies: UpstreamDependencies,
        *,
        poll_rules: PollRules,
        clock: Clock,
    ) -> None:
        super().__init__(rules.max_in_flight, fault_of=self._fault_of, limits=rules.limits)
        self._origin = origin
        self._clock = clock
        self._dependencies = dependencies
        self._broken = rules.broken
        self._poll_rules = poll_rules
        self._pace = ServicePace(clock)
        self._journal = Journal(clock, token=rules.token, url=origin.url(""), name=dependencies.name)
        self._runs: dict[str, R] = {}
        self._poller = Poller(self._poll, clock=clock, pace=self._pace, rules=poll_rules, chance=dependencies.chance)
        self._cancels = UpstreamCancels(self._ask_cancel, self._pace, clock, grace_seconds=rules.cancel_grace_seconds)

    def begin_at_once(self, work: Work, listener: RunListener) -> None:
        """Not local: use `submit`."""

    def cancel(self, handle: str) -> None:
        if (run := self._runs.get(handle)) is not None:
            self._cancels.begin(run)

    def use_token(self, token: str | None) -> None:
        if token is not None:
            self._journal.hide(token)
        self._api.use_token(token)

    async def close(self) -> None:
        await self._cancels.close()
        await self._poller.close()
        await self._origin.close()

    @abstractmethod
    async def _poll(self, handle: str) -> PolledState:
        """Ask for the state of a run."""

    @abstractmethod
    async def _ask_cancel(self, handle: str) -> Answer:
        """Ask the service to cancel a run; see `cancels.Ask`."""

    @property
    def _submit_paused_seconds(self) -> float:
        """How long no create may be sent."""
        return self._pace.submit_paused_seconds

    @property
    def _in_flight(self) -> int:
        """How many runs it has now, including those that are being submitted."""
        return self.held + sum(not run.has_slot for run in self._runs.values())

    def _fault_of(self, version: str) -> str | None:
        if version in self._broken:
            return self._broken[version]
        if self._dependencies.find_target(version) is None:
            return f"There is no route for the version {version}."
        return None

    async def _check_new(self, handle: str) -> None:
        """Check the id of a run that began just now.

        Raises:
            OutcomeUnknown: another prediction has this run.
        """
        if await self._dependencies.taken([handle]):
            raise self._of_another(handle)

    def _check_begun(self, answer: SubmitAnswer, version: str) -> None:
        """Do nothing if the create began a run, or may have.

        Raises:
            ProviderBusy, SubmitRefused: it began none.
        """
        if answer.verdict is SubmitVerdict.BUSY:
            self._notify_later(version, self._submit_paused_seconds)
            text = self._journal.for_callers(answer.text)
            raise ProviderBusy(text, retry_after_seconds=max(ceil(self._submit_paused_seconds), 1))
        if answer.verdict is SubmitVerdict.REFUSED:
            raise SubmitRefused(self._journal.for_callers(answer.text), is_of_place=answer.is_of_place)

    async def _settled(self, search: Awaitable[str | None], answer: SubmitAnswer, place: str) -> str:
        """The run of a create whose answer was not clear, as the search finds it. `place` is that before it was sent:
        its token may be replaced while it is on its way.

        Raises:
            ProviderBusy: it certainly began none.
            OutcomeUnknown: it may have begun one.
        """
        text = self._journal.for_callers(answer.text)
        try:
            handle = await search
        except (OutcomeUnknown, ProviderBusy) as error:
            self._journal.unknown += 1
            raise OutcomeUnknown(self._journal.for_callers(f"{text} {error}")) from error
        if handle is None and self.place != place:
            self._journal.unknown += 1
            raise OutcomeUnknown(f"{text} Then its token was replaced, perhaps by that of another account.")
        if handle is None:
            raise ProviderBusy(f"{text} The service has begun nothing.")
        return handle

    async def _found(self, search: Awaitable[str | None]) -> str | None:
        """The run of a create that an earlier process sent, or was about to send; None: it began none.

        Raises:
            OutcomeUnknown, ProviderBusy: as the search does.
        """
        try:
            return await search
        except OutcomeUnknown as error:
            self._journal.unknown += 1
            raise OutcomeUnknown(self._journal.for_callers(str(error))) from error

    def _submitted_before(self, work: Work) -> str | None:
        """The run that this process itself began for the prediction, and could not store."""
        return next((run.handle for run in self._runs.values() if run.prediction_id == work.prediction_id), None)

    def _add(self, run: R) -> str:
        """Remember a run that is about to be followed; returns its handle.

        Raises:
            OutcomeUnknown: another prediction has this run.
        """
        known = self._runs.get(run.handle)
        if known is not None and known.prediction_id != run.prediction_id:
            raise self._of_another(run.handle)
        self._runs[run.handle] = run
        return run.handle

    def _of_another(self, handle: str) -> OutcomeUnknown:
        self._journal.note(f"It gave the id {handle} to two predictions.")
        return OutcomeUnknown(f"The service gave it the id of another prediction: {handle}.")

    @contextmanager
    def _following(self, run: R, *, relies_on_hints: Callable[[], bool] = lambda: False) -> Iterator[Watch]:
        """Poll a run while the block runs; at its end the slot of the run is free."""
        try:
            with self._poller.watch(run.handle, is_new=run.is_new, relies_on_hints=relies_on_hints) as watch:
                run.watched_by(watch)
                yield watch
        finally:
            run.watched_by(None)
            if self._runs.get(run.handle) is run:
                del self._runs[run.handle]
            if run.has_slot:
                self.drop_slot(run.version)


def not_followed(handle: str) -> Outcome:
    """The outcome of a run that is not followed here."""
    text = f"This server follows no run {handle!r} of the service."
    return Outcome(status="failed", error=text, reason=UNKNOWN_REASON)
