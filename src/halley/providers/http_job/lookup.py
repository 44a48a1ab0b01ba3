"""Looks up the run of a create whose answer was lost, in the list of the service, if the job file has one."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from halley.clock import Clock
from halley.dispatch.upstreams import HeldHandles
from halley.egress.errors import FetchFailed, TooLarge
from halley.errors import OutcomeUnknown, ProviderBusy
from halley.providers.http_job.answers import id_at
from halley.providers.http_job.bodies import filled
from halley.providers.http_job.creates import JobCreate
from halley.providers.http_job.faults import Unsendable
from halley.providers.http_job.job import FindForm
from halley.providers.http_job.pointers import find, first_of
from halley.providers.http_job.requests import JobRequest, RequestForm
from halley.providers.http_job.templates import Values, refuse_file
from halley.providers.services.api import Answer, ServiceApi
from halley.providers.services.batches import with_yields
from halley.providers.services.creates_in_flight import CreatesInFlight
from halley.providers.services.lists import MOST_PAGES, NewestFirst, clock_ahead, latest_of
from halley.providers.services.runs import Run

_PAUSE_SECONDS: Final = 1.0
_MILLISECONDS: Final = 1e11  # a larger number is no time in seconds: it would be in the year 5138


class LostJobs:
    """Settles creates without a clear answer."""

    def __init__(
        self,
        form: FindForm | None,
        api: ServiceApi,
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
        self._form = form
        self._api = api
        self._clock = clock
        self._held = held
        self._taken = taken
        self._followed = followed
        self._look_seconds = look_seconds
        self._in_flight = CreatesInFlight()

    def sending(self, create: JobCreate) -> AbstractContextManager[None]:
        """A block that sends the create."""
        return self._in_flight.sending(self._fingerprint(create))

    async def find_begun(self, create: JobCreate, within_seconds: float) -> str | None:
        """The run that the create began, after reading the list once; None if it cannot be determined now.

        The create was sent within so many seconds after `create.since`.

        Raises:
            ProviderBusy: the service cannot be asked now.
        """
        try:
            if self._form is None or self._in_flight.has(self._fingerprint(create)):
                return None
            return await self._scan(self._form, create, within_seconds)
        except OutcomeUnknown:
            return None

    async def settle(self, create: JobCreate) -> str | None:
        """The run that the create began; None if it certainly began none, and will not.

        Raises:
            ProviderBusy: the service could not be asked for so long.
            OutcomeUnknown: the service cannot tell.
        """
        if self._form is None:
            raise OutcomeUnknown("Its job file names no list in which it could be looked for.")
        start = self._clock.monotonic()
        end = start + self._look_seconds
        while True:
            text = "Another prediction that looks the same is being submitted."
            if not self._in_flight.has(self._fingerprint(create)):
                try:
                    found = await self._scan(self._form, create)
                except ProviderBusy as error:
                    text = str(error)
                else:
                    if found is not None:
                        return found
                    settle_seconds = self._form.settle_seconds
                    text = "It may still appear in the list."
                    if settle_seconds is not None and self._clock.monotonic() - start >= settle_seconds:
                        return None
            seconds = max(_PAUSE_SECONDS, self._api.pace.paused_seconds)
            if self._clock.monotonic() + seconds >= end:
                raise ProviderBusy(f"It was looked for in the list of the service for {self._look_seconds:g} s. {text}")
            await self._clock.sleep(seconds)

    async def _scan(self, form: FindForm, create: JobCreate, within_seconds: float = inf) -> str | None:
        handles: list[str] = []
        first = request = _request(form.request, create.values)
        order: NewestFirst | None = None
        for _ in range(MOST_PAGES):
            answer = await self._asked(request)
            if order is None:
                since = self._clock.now() - timedelta(seconds=self._clock.elapsed() - create.since)
                earliest = since + clock_ahead(answer.response, self._clock)
                order = NewestFirst(earliest, latest_of(earliest, within_seconds))
            rows = find(answer.value, form.items)
            if not isinstance(rows, list):
                raise ProviderBusy(f"Its list has no items where the job file says. {answer.fault}")
            async for row in with_yields(rows):
                at = _time(first_of(form.created_at, row))
                if order.is_recent(at) and _is_like(form, row, create.values):
                    # without a time it may be an older run that matches, too
                    handles.append("" if at is None and not form.is_unique else id_at(form.id, row))
            following = _following(form, first, answer.value, create.values)
            # a list without pages may show only the last runs, unless it is empty
            if order.is_passed or (following is None and (form.has_pages or not rows)):
                return _only(await self._free(form, create, handles))
            if following is None:
                break
            request = following
        if form.is_unique and (found := await self._free(form, create, handles)):
            return _only(found)
        raise OutcomeUnknown("The list of the service cannot be read back to its creation.")

    async def _asked(self, request: JobRequest) -> Answer:
        self._api.pace.check()
        try:
            answer = await self._api.send(request.method, request.path, request.content, headers=request.headers)
        except (FetchFailed, TooLarge) as error:
            raise ProviderBusy(str(error)) from error
        if answer.status != 200:
            raise ProviderBusy(answer.fault)
        return answer

    async def _free(self, form: FindForm, create: JobCreate, handles: list[str]) -> list[str]:
        """The handles without runs of other predictions of ours; "" in place of one that may belong to another."""
        if form.is_unique or not any(handles):
            return list(dict.fromkeys(handles))
        named = [handle for handle in handles if handle]
        followed = self._followed.values()
        others = (run.handle for run in followed if run.prediction_id != create.prediction_id)
        taken = (await self._taken(named)).union(others)
        free = [handle for handle in handles if handle not in taken]
        held = await self._held(named)  # also by a provider of another name, which may be another service
        return list(dict.fromkeys("" if handle in held else handle for handle in free))

    def _fingerprint(self, create: JobCreate) -> bytes:
        """What is compared with the rows of the list."""
        if self._form is None:
            return b""
        compared = [filled(equals, create.values) for _, equals in self._form.match]
        return msgspec.json.encode(compared, enc_hook=refuse_file)


def _request(form: RequestForm, values: Values) -> JobRequest:
    """Raises:
    OutcomeUnknown: a value cannot stand in the request.
    """
    try:
        return form.filled(values, "")
    except Unsendable as error:
        raise OutcomeUnknown(f"The list of the service cannot be asked: {error}.") from error


def _following(form: FindForm, first: JobRequest, value: Any, values: Values) -> JobRequest | None:
    """The request for the next page; None if there is none.

    Raises:
        OutcomeUnknown: there is one that cannot be asked for.
    """
    if form.following is not None:
        cursor = first_of(form.cursor, value)
        return _request(form.following, {**values, "cursor": cursor}) if cursor else None
    link = first_of(form.next, value)
    if not link:
        return None
    # only its query is taken, because the link may name another host
    query = _query(link) if isinstance(link, str) else []
    if not query:
        raise OutcomeUnknown("The next page of the list of the service has no query that could be sent.")
    path = f"{first.path.partition('?')[0]}?{urlencode(query)}"
    return msgspec.structs.replace(first, path=path)


def _query(link: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(urlsplit(link).query, keep_blank_values=True)
    except ValueError:
        return []


def _only(found: list[str]) -> str | None:
    """The one run that matches; None if there is none.

    Raises:
        OutcomeUnknown: several could be it.
    """
    if not found:
        return None
    if len(found) == 1 and found[0]:
        return found[0]
    raise OutcomeUnknown(f"{len(found)} runs in the list of the service could be this one.")


def _is_like(form: FindForm, row: Any, values: Values) -> bool:
    return all(_equal(first_of(at, row), filled(equals, values)) for at, equals in form.match)


def _equal(theirs: Any, ours: Any) -> bool:
    """Equal, also if one of them is the text of a number."""
    if theirs == ours:
        return True
    kinds = (str, int, float)
    return isinstance(theirs, kinds) and isinstance(ours, kinds) and str(theirs) == str(ours)


def _time(value: Any) -> datetime | None:
    """A time in seconds, milliseconds or as text; None if it is none."""
    if isinstance(value, str) and not value.isdigit():
        try:
            found = msgspec.convert(value, datetime)
        except (msgspec.ValidationError, ValueError):
            return None
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
        return datetime.fromtimestamp(number / 1000 if number > _MILLISECONDS else number, UTC)
    except (ValueError, OverflowError, OSError):
        return None
