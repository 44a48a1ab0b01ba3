"""Looks up the run of a create whose answer was lost, without creating anything twice."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from math import inf
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import msgspec

from halley.clock import Clock
from halley.dispatch.upstream_hooks import Hook
from halley.dispatch.upstreams import HeldHandles
from halley.egress.errors import FetchFailed, TooLarge
from halley.errors import OutcomeUnknown, ProviderBusy, SubmitRefused
from halley.providers.replicate.api import UpstreamApi
from halley.providers.replicate.creates import Create, Creates
from halley.providers.replicate.named_runs import NamedRuns
from halley.providers.replicate.run_matching import RunMatch, has_our_webhook, match_run
from halley.providers.services.api import Answer
from halley.providers.services.batches import with_yields
from halley.providers.services.creates_in_flight import CreatesInFlight
from halley.providers.services.lists import MOST_PAGES, NewestFirst, clock_ahead, latest_of
from halley.providers.services.runs import Run
from halley.providers.services.verdicts import SubmitVerdict, handle_of

_PAUSE_SECONDS: Final = 1.0
_LARGE_BYTES: Final = 2**16
_PROVEN: Final = frozenset({400, 413, 422})  # refusals that the first request would have met, too


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Runs in the list that may be the wanted one: `sure` have our input, `others` could have it.

    `is_complete`: the list was read back to the time of the prediction.
    """

    sure: tuple[str, ...]
    others: tuple[str, ...]
    is_complete: bool


class LostCreates:
    """Settles creates without a clear answer: by their idempotency key, or else in the list of the service; a webhook
    that names the run is taken at any time.
    """

    def __init__(
        self,
        api: UpstreamApi,
        creates: Creates,
        *,
        clock: Clock,
        held: HeldHandles,
        taken: HeldHandles,
        followed: Mapping[str, Run],
        look_seconds: float,
    ) -> None:
        """Looking ends after `look_seconds`, at once where there is nothing to ask. `taken` are the handles of this
        provider's predictions, `held` those of any: another service may count its runs from 1, too. `followed` are the
        runs of this process by handle: their predictions may not be stored with them yet.
        """
        self._api = api
        self._creates = creates
        self._clock = clock
        self._held = held
        self._taken = taken
        self._look_seconds = look_seconds
        self._in_flight = CreatesInFlight()
        self._followed = followed

    def sending(self, create: Create) -> AbstractContextManager[None]:
        """A block that sends the create."""
        return self._in_flight.sending(_fingerprint(create))

    async def settle(
        self, create: Create, hook: Hook | None = None, *, may_repeat: Callable[[], bool] = lambda: True
    ) -> str | None:
        """The run that the create began; None if it certainly began none, and will not. `hook` is for its webhooks.
        `may_repeat` is asked before it is sent again under its key.

        Raises:
            ProviderBusy: the service could not be asked for so long.
            OutcomeUnknown: the service cannot tell.
            SubmitRefused: it began none, and would be refused again.
        """
        try:
            return await self._settled(create, hook, may_repeat)
        except (ProviderBusy, OutcomeUnknown, SubmitRefused) as error:
            raise type(error)(self._api.journal.for_callers(str(error))) from error

    async def _settled(self, create: Create, hook: Hook | None, may_repeat: Callable[[], bool]) -> str | None:
        profile = self._api.profile
        named = NamedRuns(create, hook, api=self._api, taken=self._of_others, clock=self._clock)
        if (handle := await named.find()) is not None:
            return handle
        if self._age(create) < profile.key_seconds and may_repeat():
            return await self._recognized_by_key(create, named, may_repeat)
        if profile.settle_seconds is not None:
            return await self._in_list(create, profile.settle_seconds, named)
        if named.may_come and (handle := await named.until(self._look_seconds)) is not None:
            return handle
        raise OutcomeUnknown("The service has no list in which it could be looked for.")

    async def find_begun(self, create: Create, within_seconds: float) -> str | None:
        """The run in the list that this create surely began; called long after the create. Only the list is requested.

        The create was sent within so many seconds after `create.since`.

        Raises:
            ProviderBusy: the list cannot be read now.
        """
        if self._api.profile.settle_seconds is None or self._in_flight.has(_fingerprint(create)):
            return None
        found = await self._scan(create, within_seconds)
        is_it = len(found.sure) == 1 and not found.others and found.is_complete
        return (found.sure[0] or None) if is_it else None

    async def find_named(self, create: Create, handle: str) -> str | None:
        """This run, which a webhook with the create's token names, if the service shows that it can be the create's.

        Raises:
            ProviderBusy: the service cannot be asked now.
        """
        named = NamedRuns(create, None, api=self._api, taken=self._of_others, clock=self._clock)
        return handle if await named.is_ours(handle) else None

    async def _recognized_by_key(self, create: Create, named: NamedRuns, may_repeat: Callable[[], bool]) -> str | None:
        """Send the same again under the same key: the service answers with the run that it began, or begins it now."""
        end = self._clock.monotonic() + self._look_seconds
        while True:
            if not may_repeat():
                raise ProviderBusy("It may not be sent again under its key now.", was_asked=False)
            answer = await self._creates.send(create)
            if answer.verdict is SubmitVerdict.SUBMITTED:
                return answer.handle
            if answer.verdict is SubmitVerdict.REFUSED:
                if answer.status in _PROVEN:
                    raise SubmitRefused(answer.text)
                raise OutcomeUnknown(answer.text)
            seconds = max(_PAUSE_SECONDS, self._api.pace.paused_seconds)
            if self._clock.monotonic() + seconds >= end:
                raise ProviderBusy(f"It was sent again with the same key for {self._look_seconds:g} s. {answer.text}")
            if (handle := await named.wait(seconds)) is not None:
                return handle

    async def _in_list(self, create: Create, settle_seconds: float, named: NamedRuns) -> str | None:
        start = self._clock.monotonic()
        end = start + self._look_seconds
        while True:
            kind: type[ProviderBusy | OutcomeUnknown] = ProviderBusy
            text = "Another prediction with the same input is being submitted."
            if not self._in_flight.has(_fingerprint(create)):
                try:
                    found = await self._scan(create)
                    if (handle := _only(found)) is not None:
                        return handle
                    if self._clock.monotonic() - start >= settle_seconds:
                        return None
                    text = "It may still appear in the list."
                except ProviderBusy as error:
                    text = str(error)
                except OutcomeUnknown as error:
                    if not named.may_come:
                        raise
                    text, kind = str(error), OutcomeUnknown
            seconds = max(_PAUSE_SECONDS, self._api.pace.paused_seconds)
            if self._clock.monotonic() + seconds >= end:
                raise kind(f"It was looked for in the list of the service for {self._look_seconds:g} s. {text}")
            if (handle := await named.wait(seconds)) is not None:
                return handle

    async def _scan(self, create: Create, within_seconds: float = inf) -> Found:
        sure: list[str] = []
        others: list[str] = []
        path = "/predictions"
        order: NewestFirst | None = None
        given = msgspec.json.decode(create.input)
        for _ in range(MOST_PAGES):
            answer = await self._page(path)
            if order is None:
                since = self._clock.now() - timedelta(seconds=self._age(create))
                earliest = since + clock_ahead(answer.response, self._clock)
                order = NewestFirst(earliest, latest_of(earliest, within_seconds))
            body = answer.body or {}
            async for row in with_yields(body["results"]):
                if not isinstance(row, dict) or not order.is_recent(_created_at(row)):
                    continue
                if has_our_webhook(create, row) and handle_of(row):
                    return await self._free(create, [handle_of(row)], [], is_complete=True, is_proven=True)
                if (like := match_run(create, given, row)) is not RunMatch.NONE:
                    (sure if like is RunMatch.SURE else others).append(handle_of(row))
            if order.is_passed or not body.get("next"):
                return await self._free(create, sure, others, is_complete=True)
            if (following := _next(body["next"])) is None:
                break
            path = following
        return await self._free(create, sure, others, is_complete=False)

    def _age(self, create: Create) -> float:
        return self._clock.elapsed() - create.since

    async def _page(self, path: str) -> Answer:
        self._api.pace.check()
        try:
            answer = await self._api.send("GET", path)
        except (FetchFailed, TooLarge) as error:
            raise ProviderBusy(str(error)) from error
        if answer.status != 200 or not isinstance((answer.body or {}).get("results"), list):
            raise ProviderBusy(answer.fault)
        return answer

    async def _free(
        self, create: Create, sure: list[str], others: list[str], *, is_complete: bool, is_proven: bool = False
    ) -> Found:
        """The candidates without runs of other predictions of ours; one that may be of another one is not sure any
        more.
        """
        handles = [handle for handle in (*sure, *others) if handle]
        taken = (await self._taken(handles) if handles else frozenset()) | self._followed_for_others(create)
        # also by a provider of another name, which may be another service
        held = await self._held(handles) if handles and not is_proven else frozenset()
        return Found(
            # a run is on two pages if another one is created between their answers
            sure=tuple(handle for handle in dict.fromkeys(sure) if handle not in taken | held),
            others=tuple(
                handle
                for handle in dict.fromkeys([*others, *(one for one in sure if one in held)])
                if handle not in taken
            ),
            is_complete=is_complete,
        )

    async def _of_others(self, create: Create, handles: Sequence[str]) -> frozenset[str]:
        """Runs that belong, or may belong, to other predictions of ours: those of `handles`, and all followed here."""
        return await self._held(handles) | self._followed_for_others(create)

    def _followed_for_others(self, create: Create) -> frozenset[str]:
        followed = self._followed.values()
        return frozenset(run.handle for run in followed if run.prediction_id != create.prediction_id)


def _only(found: Found) -> str | None:
    """The one run that matches; None if there is none.

    Raises:
        OutcomeUnknown: several could be it, one could be another, or more could have been begun than were read.
    """
    if not found.sure and not found.others:
        if not found.is_complete:
            raise OutcomeUnknown("The list of the service cannot be read back to its creation.")
        return None
    if len(found.sure) == 1 and not found.others and found.sure[0]:
        return found.sure[0]
    count = len(found.sure) + len(found.others)
    raise OutcomeUnknown(f"{count} predictions in the list of the service could be this one.")


def _fingerprint(create: Create) -> bytes:
    """Model and input in one text, which is the same for equal creates; of a large input, its hash alone."""
    if len(create.input) > _LARGE_BYTES:
        return sha256(create.input).digest()
    return msgspec.json.encode([create.model, msgspec.json.decode(create.input)], order="sorted")


def _created_at(row: dict[str, Any]) -> datetime | None:
    try:
        at = msgspec.convert(row.get("created_at"), datetime)
    except (msgspec.ValidationError, ValueError):
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _next(url: Any) -> str | None:
    """The path of the next page: only its cursor is taken, because the URL may name another host."""
    if not isinstance(url, str):
        return None
    try:
        cursors = parse_qs(urlsplit(url).query).get("cursor")
    except ValueError:
        return None
    return f"/predictions?cursor={quote(cursors[0], safe='')}" if cursors else None
