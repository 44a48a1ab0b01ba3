"""Submits a prediction to a provider whose runs continue without this process: once, even after a crash, because runs
there cost money.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import nullcontext
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import msgspec

from halley.dispatch.open_submits import OpenSubmits
from halley.dispatch.ports import Emit, Outcome, Work
from halley.dispatch.routing import ProviderRoute
from halley.errors import (
    HalleyError,
    LeaseLost,
    OutcomeUnknown,
    ProviderBusy,
    SubmitLimitReached,
    SubmitRefused,
    WrongState,
)
from halley.predictions.queue import Claimed, SubmitLedger
from halley.predictions.records import StartedAt
from halley.predictions.status import SubmitState
from halley.predictions.submits import UNKNOWN_REASON
from halley.retry import RETRY_SECONDS

_log: Final = logging.getLogger(__name__)

T = TypeVar("T")


class RetryWrite(Protocol):
    """Repeats a write until the store accepts it."""

    async def __call__(self, write: Callable[[], Awaitable[T]]) -> T: ...


class SubmitRules(NamedTuple):
    """`retry_write` repeats a write until the store accepts it. A run older than `lookup_limit_seconds` is not looked
    up at its provider any more. `open_submits` are the submits of this process without an answer.
    """

    retry_write: RetryWrite
    lookup_limit_seconds: float
    open_submits: OpenSubmits


class Submission:
    """The submit of one lease: the intent is stored before it, the handle after it.

    What an earlier holder intended or submitted is adopted; it is submitted only if the provider is certain that
    nothing was begun.
    """

    def __init__(self, claimed: Claimed, *, route: ProviderRoute, ledger: SubmitLedger, rules: SubmitRules) -> None:
        self._lease = claimed.lease
        self._was_over = claimed.prediction.is_terminal
        self._is_patient = claimed.waited_seconds <= rules.lookup_limit_seconds
        self._state = claimed.prediction.submit_state
        self._known_handle = claimed.prediction.handle
        self._place_then = "" if claimed.recorded is None else claimed.recorded.place
        self._route = route
        self._ledger = ledger
        self._keep_trying = rules.retry_write
        self._open_submits = rules.open_submits
        self.is_adopting = self._state is not None
        self.has_begun = False
        self.in_flight = False  # it may be begun at any moment, and no handle is stored yet
        self._asking: asyncio.Future[str | None] | None = None
        self._following: asyncio.Future[Outcome] | None = None
        self._has_lost_lease = False

    async def begin(self, work: Work, is_stopped: Callable[[], bool]) -> str | None:
        """Submit or adopt; returns the handle to follow, which is stored. None: it ended before it was submitted.

        A submitted prediction is also adopted if it `is_stopped`, so that its run can be canceled.

        Raises:
            SubmitRefused: nothing was begun, and it would be refused again.
            ProviderBusy: nothing was begun, or the provider cannot be asked now; it may be tried again later.
            OutcomeUnknown: it is not known whether it was begun; that is stored.
            LeaseLost: another worker has it and adopts it.
        """
        self.has_begun = self.in_flight = True
        try:
            if not self.is_adopting and not await self._is_intended():
                return None
            handle = await (self._adopted(work, is_stopped) if self.is_adopting else self._submitted(work, is_stopped))
            if handle is not None:
                await self._keep_trying(lambda: self._ledger.record_handle(self._lease, handle))
        except OutcomeUnknown:
            await self.forget()
            raise
        finally:
            self.in_flight = False
        return handle

    def may_send(self) -> bool:
        """See `Work.may_send`: the steps before the create, such as uploads, may have taken long."""
        return not self._has_lost_lease and not self._has_moved and self._open_submits.leases_hold()

    @property
    def _has_moved(self) -> bool:
        """Whether the address or token of its provider has changed since it was submitted. Another service, or another
        account, does not know the run, which proves nothing.
        """
        now = self._route.place
        # a version before this one stored only the second part
        return self._place_then != "" and now != "" and self._place_then not in (now, now.partition(".")[2])

    @property
    def _has_other_run(self) -> bool:
        """Whether the stored handle may name another run, because the provider has another address now."""
        before, now = self._place_then.partition("."), self._route.place.partition(".")
        has_other_address = bool(before[2] and now[2]) and before[0] != now[0]
        return self._known_handle is not None and has_other_address and self._route.may_share_run_ids

    @property
    def retry_seconds(self) -> float:
        """How long to wait before the next try, if nothing was begun. 0 if another provider has a free slot; but if
        this one may have begun the run, no other one may take it.
        """
        others = None if self.is_adopting else self._route.others
        return 0.0 if others is not None and others.have_free_slot() else RETRY_SECONDS

    def place(self, handle: str) -> bytes:
        """The data of the event STARTED: where it runs."""
        return msgspec.json.encode(StartedAt(provider=self._route.name, upstream_id=handle))

    async def follow(self, handle: str, emit: Emit, takes_slot: Callable[[], None]) -> Outcome:
        """See `Provider.follow`. `takes_slot` is called when the provider begins: from then on it releases the slot.

        Raises:
            LeaseLost: `lose_lease` was called.
        """
        self._following = asyncio.ensure_future(self._followed(handle, emit, takes_slot))
        if self._has_lost_lease:
            self._following.cancel()
        try:
            outcome = await self._following
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            raise LeaseLost(f"{self._lease.prediction_id} runs elsewhere, and another worker follows it") from None
        finally:
            self._following = None
        if outcome.reason == UNKNOWN_REASON:
            await self.forget()
        return outcome

    async def _followed(self, handle: str, emit: Emit, takes_slot: Callable[[], None]) -> Outcome:
        takes_slot()  # not earlier: a task that is cancelled before its first step runs no code
        reports = None if self.is_adopting else self._route.reports
        with nullcontext() if reports is None else reports.running():
            return await self._route.provider.follow(handle, emit)

    def lose_lease(self) -> None:
        """Another worker may follow the run now: leave it alone."""
        self._has_lost_lease = True
        if self._following is not None:
            self._following.cancel()

    def time_out(self) -> None:
        """The time limit has passed: do not wait for the provider's answer any longer."""
        if self._asking is not None:
            self._asking.cancel()

    async def forget(self) -> None:
        """It is not known how the run ended: store that, so that it is not submitted again."""
        await self._keep_trying(lambda: self._ledger.record_unknown(self._lease))

    async def _is_intended(self) -> bool:
        try:
            await self._keep_trying(self._record_intent)
        except WrongState:
            return False
        except SubmitLimitReached as error:
            self._note_room(error.seconds)
            raise ProviderBusy(str(error)) from error
        return True

    def _record_intent(self) -> Awaitable[None]:
        quota = self._route.quota
        if quota is None:
            return self._ledger.record_intent(self._lease, self._route.name)
        count = msgspec.structs.replace(quota.count(), place=self._route.place)
        return self._ledger.record_intent(self._lease, self._route.name, count)

    def _note_room(self, seconds: float) -> None:
        if self._route.quota is not None:
            self._route.quota.note(seconds)

    async def _adopted(self, work: Work, is_stopped: Callable[[], bool]) -> str | None:
        if self._state is SubmitState.UNKNOWN:
            raise OutcomeUnknown("An earlier attempt to submit it had no clear answer.")
        if self._has_other_run:
            raise OutcomeUnknown(
                "Its provider has another address now than when it was submitted, where its id may name another run."
            )
        try:
            handle = await self._asked_for(work)
        except ProviderBusy as error:
            if self._is_patient:
                raise
            raise OutcomeUnknown(f"Its provider could not be asked in time: {error}") from error
        except SubmitRefused as error:
            if self._state is SubmitState.SUBMITTED:
                raise _unclear(work, "adopt", error) from error
            await self._withdraw()
            raise
        except OutcomeUnknown:
            raise
        except Exception as error:
            raise _unclear(work, "adopt", error) from error
        if handle is not None:
            return handle
        if self._state is SubmitState.SUBMITTED:
            raise OutcomeUnknown("The provider had given a handle, and knows nothing of it now.")
        if self._has_moved:
            raise OutcomeUnknown("Its provider has another address or token now than when it was submitted.")
        await self._withdraw()
        if self._was_over or is_stopped():
            return None
        if self._route.is_former:
            raise ProviderBusy("Nothing was begun, and its version has another provider now.")
        # asking took long: the intent is stored again, which fails if another worker has the lease by now
        return await self._submitted(work, is_stopped) if await self._is_intended() else None

    async def _asked_for(self, work: Work) -> str | None:
        if self._route.is_missing:
            raise ProviderBusy(f"The provider {self._route.name}, which has this run, is not one of this server's now.")
        return await self._answer(self._adopt(work))

    async def _adopt(self, work: Work) -> str | None:
        handle = self._known_handle or await self._open_submits.end(work.prediction_id)
        return await self._route.provider.adopt(work, handle)

    async def _submitted(self, work: Work, is_stopped: Callable[[], bool]) -> str | None:
        if is_stopped():
            await self._withdraw()
            return None
        if self._has_lost_lease:
            raise LeaseLost(f"{work.prediction_id} was claimed by another worker before it was submitted")
        try:
            submit = partial(self._route.provider.submit, work)
            with nullcontext() if self._route.reports is None else self._route.reports.submitting():
                return await self._answer(self._open_submits.run(work.prediction_id, submit))
        except SubmitRefused as error:
            await self._withdraw()
            self._go_elsewhere(work.version, error)
            raise
        except ProviderBusy:
            await self._withdraw()
            raise
        except (OutcomeUnknown, LeaseLost):
            raise
        except Exception as error:
            raise _unclear(work, "submit", error) from error

    def _go_elsewhere(self, version: str, refusal: SubmitRefused) -> None:
        """Raises:
        ProviderBusy: it is refused because of the provider, and another one may accept it.
        """
        reports, others = self._route.reports, self._route.others
        if refusal.is_of_place and reports is not None and others is not None and others.may_accept():
            reports.pass_over(version, str(refusal))
            raise ProviderBusy(str(refusal)) from refusal

    async def _answer(self, asked: Coroutine[Any, Any, str | None]) -> str | None:
        self._asking = asyncio.ensure_future(asked)
        try:
            return await self._asking
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            raise OutcomeUnknown("Its provider gave no answer in the time that its run may take.") from None
        finally:
            self._asking = None

    async def _withdraw(self) -> None:
        await self._keep_trying(lambda: self._ledger.withdraw_intent(self._lease))
        self._note_room(0)


def _is_cancelled() -> bool:
    """Whether this task itself was cancelled, and not only what it awaits."""
    ours = asyncio.current_task()
    return ours is not None and ours.cancelling() > 0


def _unclear(work: Work, step: str, error: Exception) -> OutcomeUnknown:
    _log.exception("%s: its provider broke at %s, so its outcome is unknown", work.prediction_id, step)
    # the text of an unexpected error may contain anything; it is in the log
    why = f"{error}" if isinstance(error, HalleyError) else f"an internal error at {step}; the server's log has it"
    return OutcomeUnknown(f"Its provider gave no clear answer: {why}")
