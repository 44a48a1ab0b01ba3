"""The ports of webhooks: a store for messages and the delivery log, outbound HTTP, rendered predictions."""

from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from halley.predictions.duties import Duty
from halley.predictions.records import Prediction
from halley.webhooks.records import Delivery, Ending, Fate, Message, Notice


class DeliveryStore(Protocol):
    """Messages and attempts, in the same database as the predictions. Each method is one transaction.

    Writing methods are durable when their awaitable is done; if the awaiting side is cancelled they happen anyway.

    One process at a time sends (`predictions.duties`), with the store that `on_duty` returns. Late writes without harm
    are not refused: `end` records an attempt that was made, and changes its message only if no other process has;
    `forget` removes old rows.
    """

    def on_duty(self, duty: Duty) -> "DeliveryStore":
        """The same store for the holder of this duty: `record`, `begin` and `take_over` raise DutyLost once it is lost.

        So a process that lost it without noticing makes no message and no attempt, and cannot send a state after the
        end.
        """
        ...

    # the log, read behind a position

    async def position(self) -> int:
        """The offset up to which the log was read, as last written by `record`; 0 at first."""
        ...

    def may_have_notices(self, after: int) -> bool:
        """False if `read_notices` would find nothing, as far as is known without reading. Never false by mistake for
        what was committed by this process.
        """
        ...

    async def read_notices(self, after: int, limit: int) -> list[Notice]:
        """Facts about predictions that have a webhook, in order of `offset`.

        Only kinds of `events.TOLD_BY`. Offsets follow the order of commits: after a notice was read, none with a
        smaller offset will appear. They stay at least until `record` has passed them.
        """
        ...

    async def read_account(
        self, account_id: str, after: int, limit: int, key_id: str | None = None
    ) -> tuple[list[Notice], int]:
        """Facts about all predictions of an account (or of one key of it), with or without a webhook, and a position.

        The position is the offset up to which the log was searched: it also grows if nothing was found, and there may
        be more after it unless it equals the given `after`.
        """
        ...

    async def position_at(self, account_id: str, created_after: datetime) -> int:
        """A position just before the account's first prediction created at that time or later; else the newest."""
        ...

    async def link_base(self, prediction_id: str) -> str | None:
        """The beginning of links for the caller of its create (NewPrediction.link_base), until the end is sent."""
        ...

    def record(self, messages: Sequence[Message], position: int, ended: Sequence[str] = ()) -> Awaitable[None]:
        """Store new messages together with the position that the log was read to. Never one without the other.

        A message with an existing id changes nothing. If an attempt about its prediction was answered 410, it is stored
        as GONE. `ended` are predictions without further messages.
        """
        ...

    # messages

    async def endpoints(self) -> list[str]:
        """Every endpoint of a pending message."""
        ...

    async def endpoints_since(self, at: datetime) -> list[str]:
        """The endpoints of pending messages whose present wait began after `at`: new, retried, or sent again."""
        ...

    async def due(self, endpoint: str, at: datetime, limit: int) -> list[Message]:
        """Pending messages that are due, the earliest first, each without `body`."""
        ...

    async def next_due_at(self, endpoint: str, after: datetime) -> datetime | None:
        """When the next pending message comes due that is not due yet; None if there is none."""
        ...

    async def message(self, message_id: str) -> Message | None:
        """The message with its body."""
        ...

    def resend(self, message_id: str, at: datetime) -> Awaitable[Message | None]:
        """Make a message due, at the start of its schedule; None if it is absent or has no body any more.

        A running attempt does not undo this: see `end`.
        """
        ...

    # attempts

    def begin(self, delivery: Delivery) -> Awaitable[bool]:
        """Record the attempt before it is made, and count it in its message, if that is stored.

        False, without a write, if it is about an intermediate state and its receiver has answered 410 before.
        """
        ...

    async def was_told(self, prediction_id: str) -> bool:
        """Whether there was an attempt to send anything about the prediction, with any result."""
        ...

    def end(self, delivery: Delivery, ending: Ending, fate: Fate | None) -> Awaitable[None]:
        """Record how it ended, and the new state of its message. Repeating it is harmless.

        If the message is not due at `fate.found_at` any more, it was sent again meanwhile and stays unchanged. After a
        410 every pending message about the prediction becomes GONE. The body of a message that is not pending any more
        is deleted if the prediction's data was removed.
        """
        ...

    def take_over(self, error: str, at: datetime) -> Awaitable[int]:
        """Continue after a process that has ended. Returns the number of its running attempts.

        These are marked as INTERRUPTED. Pauses that began later than `at` begin now: the clock was set back meanwhile.
        """
        ...

    async def page(
        self, account_id: str, *, limit: int, before: str | None = None, prediction_id: str | None = None
    ) -> list[Delivery]:
        """Attempts of an account, newest first (by id, descending), all with ids below `before`."""
        ...

    async def delivery(self, delivery_id: str) -> Delivery | None:
        """One attempt, of any account: callers check the account."""
        ...

    def forget(self, before: datetime, limit: int) -> Awaitable[int]:
        """Remove up to `limit` attempts begun before, and as many settled messages made before; returns their
        number.
        """
        ...


class SecretStore(Protocol):
    """The valid generations of an account's signing secret. The secrets themselves are not stored."""

    async def ended_generations(self, account_id: str) -> list[tuple[int, datetime]]:
        """Replaced generations, with the ends of their overlaps, the newest first. The present one follows them."""
        ...

    def rotate(self, account_id: str, generation: int, ends_at: datetime) -> Awaitable[bool]:
        """Replace this generation; it and all older ones become invalid at `ends_at` at the latest.

        False, without an effect, if it is not the present one any more.
        """
        ...


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver's answer. Header names are lower case; `body` is its beginning."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpSender(Protocol):
    """Outbound HTTP for messages. Implemented by `egress`."""

    def check_url(self, url: str) -> None:
        """Refuse, without any network, URLs that can never be reached.

        Raises:
            AddressRefused: port, malformed host, or an IP address that is not allowed.
        """
        ...

    async def post(
        self,
        url: str,
        *,
        headers: Sequence[tuple[str, str]],
        content: bytes,
        connect_seconds: float,
        total_seconds: float,
        keep_bytes: int,
    ) -> Posted:
        """Send one message. Redirects are not followed. The name is resolved, and its address checked, each time.

        The status is enough for an answer: a body that does not end in time is cut, and only `keep_bytes` are kept.

        Raises:
            AddressRefused: the URL or a resolved address is not allowed; nothing was sent.
            FetchFailed: there was no answer in time. The message may have arrived nevertheless.
        """
        ...


class PayloadRenderer(Protocol):
    """Renders predictions as a GET would show them now (implemented by api)."""

    async def encoded(self, row: Prediction, link_base: str | None) -> bytes:
        """The JSON of the prediction, with logs, and with links to its files rather than their bytes.

        Links begin with `link_base`; the configured public URL has priority, and is used if the base is not known.
        """
        ...
