"""Submits a prediction to a provider that continues without us: once, even after a crash, because runs there cost
money.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from halley.dispatch.ports import Provider, Work
from halley.errors import LeaseLost, OutcomeUnknown, ProviderBusy, SubmitRefused, WrongState
from halley.predictions.queue import Claimed, SubmitLedger
from halley.predictions.status import SubmitState

_log: Final = logging.getLogger(__name__)

T = TypeVar("T")


class KeepTrying(Protocol):
    """Repeats a write until the store accepts it."""

    async def __call__(self, write: Callable[[], Awaitable[T]]) -> T: ...


class Submission:
    """The submit of one lease: the intent is stored before it, the handle after it.

    What an earlier holder intended or submitted is adopted; it is submitted only if the provider is certain that
    nothing was begun.
    """

    def __init__(self, claimed: Claimed, *, provider: Provider, ledger: SubmitLedger, keep_trying: KeepTrying) -> None:
        self._lease = claimed.lease
        self._state = claimed.prediction.submit_state
        self._known_handle = claimed.prediction.handle
        self._provider = provider
        self._ledger = ledger
        self._keep_trying = keep_trying
        self.is_adopting = self._state is not None
        self.has_begun = False
        self.in_flight = False  # it may begin at any moment, and no handle is stored yet

    async def begin(self, work: Work) -> str | None:
        """Submit or adopt; returns the handle to follow, which is stored. None: it ended before it was submitted.

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
            handle = await self._adopted(work) if self.is_adopting else await self._submitted(work)
            await self._keep_trying(lambda: self._ledger.record_handle(self._lease, handle))
        except OutcomeUnknown:
            await self.forget()
            raise
        finally:
            self.in_flight = False
        return handle

    async def forget(self) -> None:
        """It is not known how the run ended: store that, so that it is not submitted again."""
        await self._keep_trying(lambda: self._ledger.record_unknown(self._lease))

    async def _is_intended(self) -> bool:
        try:
            await self._keep_trying(lambda: self._ledger.record_intent(self._lease))
        except WrongState:
            return False
        return True

    async def _adopted(self, work: Work) -> str:
        if self._state is SubmitState.UNKNOWN:
            raise OutcomeUnknown("An earlier attempt to submit it had no clear answer.")
        try:
            handle = await self._provider.adopt(work, self._known_handle)
        except (ProviderBusy, OutcomeUnknown):
            raise
        except Exception as error:
            raise _unclear(work, "adopt", error) from error
        if handle is not None:
            return handle
        if self._state is SubmitState.SUBMITTED:
            raise OutcomeUnknown("The provider had given a handle, and knows nothing of it now.")
        return await self._submitted(work)

    async def _submitted(self, work: Work) -> str:
        try:
            return await self._provider.submit(work)
        except (SubmitRefused, ProviderBusy):
            await self._keep_trying(lambda: self._ledger.withdraw_intent(self._lease))
            raise
        except (OutcomeUnknown, LeaseLost):
            raise
        except Exception as error:
            raise _unclear(work, "submit", error) from error


def _unclear(work: Work, step: str, error: Exception) -> OutcomeUnknown:
    _log.exception("%s: its provider broke at %s, so its outcome is unknown", work.prediction_id, step)
    return OutcomeUnknown(f"Its provider gave no clear answer: {error}")
