"""The ports of webhooks: a store for messages and the delivery log, outbound HTTP, rendered predictions."""

from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from halley.predictions.duties import Duty
from halley.predictions.records import Prediction
from halley.webhooks.events import WebhookEvent
from halley.webhooks.records import Delivery, Ending, Fate, Message, Notice


class DeliveryStore(Protocol):
    """Messages and attempts, in the same database as the predictions. Each method is one transaction.

    Writing methods are durable when their awaitable is done; if the awaiting side is cancelled they happen anyway.

    One process at a time sends (`predictions.duties`), and works on what `on_duty` gives it. What is harmless
    when it comes late is not refused: `end` tells of an attempt that was made, and changes its message only if nobody
    else has settled or moved it; `forget` removes what is too old for anybody.
    """

    def on_duty(self, duty: Duty) -> "DeliveryStore":
        """The same store for whoever has this duty: `record`, `begin` and `take_over` raise DutyLost once it is lost.

        So whoever lost it without noticing makes no message and no attempt, and cannot tell a state behind the end.
        """
        ...

    # the log, read behind a position

    async def position(self) -> int:
        """The offset up to which the log was read, as `record` wrote it last; 0 at first."""
        ...

    async def read_notices(self, after: int, limit: int) -> list[Notice]:
        """Facts about predictions that have a webhook, in order of `offset`.

        Only kinds of `events.TOLD_BY`. Offsets follow the order of commits: once a notice was read, none with a smaller
        offset will appear later. They stay at least until `record` has passed them.
        """
        ...

    async def read_account(
        self, account_id: str, after: int, limit: int, key_id: str | None = None
    ) -> tuple[list[Notice], int]:
        """Facts about all predictions of an account (or of one key of it), with or without a webhook, and a position.

        The position is the offset up to which the log was looked through: it grows also where nothing was found, and
        there may be more behind it unless it equals the `after` that was asked.
        """
        ...

    async def position_at(self, account_id: str, created_after: datetime) -> int:
        """A position just before the account's first prediction created at that time or later; else the newest."""
        ...

    async def link_base(self, prediction_id: str) -> str | None:
        """The start of links for the caller of its create (NewPrediction.link_base), until the end is sent."""
        ...

    def record(self, messages: Sequence[Message], position: int, ended: Sequence[str] = ()) -> Awaitable[None]:
        """Store new messages together with the position that the log was read to. Never one without the other.

        A message whose id is known changes nothing. If an attempt about its prediction was answered 410, it is
        stored as GONE. `ended` names predictions that nothing more will be told about.
        """
        ...

    # messages

    async def endpoints(self) -> list[str]:
        """Every endpoint that a pending message goes to."""
        ...

    async def endpoints_since(self, at: datetime) -> list[str]:
        """Those of messages that are pending and whose present wait began behind `at`: new, to be repeated, resent."""
        ...

    async def due(self, endpoint: str, at: datetime, limit: int) -> list[Message]:
        """Pending messages whose time has come, the earliest first, each with `body` left out."""
        ...

    async def next_due_at(self, endpoint: str, after: datetime) -> datetime | None:
        """When the next pending message comes due that is not due yet; None if there is none."""
        ...

    async def message(self, message_id: str) -> Message | None:
        """The message, whole."""
        ...

    def resend(self, message_id: str, at: datetime) -> Awaitable[Message | None]:
        """Make a message due, at the start of its schedule; None if it is absent or has no body any more.

        An attempt that is under way does not undo this: see `end`.
        """
        ...

    # attempts

    def begin(self, delivery: Delivery) -> Awaitable[bool]:
        """Write the attempt down before it is made; counts it in its message, if that is stored.

        False, and nothing is written, if it is about a passing state and its receiver has said 410 before.
        """
        ...

    async def was_told(self, prediction_id: str, event: WebhookEvent) -> bool:
        """Whether there was an attempt to send this about the prediction, with any result."""
        ...

    def end(self, delivery: Delivery, ending: Ending, fate: Fate | None) -> Awaitable[None]:
        """Write down how it ended and what becomes of its message. Repeating it is harmless.

        If the message is not due at `fate.found_at` any more, a resend came in between: it stays as that left it.
        After a 410 every pending message about the prediction is GONE. The body of a message that is not pending any
        more goes if the prediction's data was removed.
        """
        ...

    def take_over(self, error: str, at: datetime) -> Awaitable[int]:
        """Begin where a process stopped that is no more. Gives the number of attempts that it had under way.

        They are marked as INTERRUPTED. Pauses that began later than `at` begin now: the clock was set back meanwhile.
        """
        ...

    async def page(
        self, account_id: str, *, limit: int, before: str | None = None, prediction_id: str | None = None
    ) -> list[Delivery]:
        """Attempts of an account, newest first (by id, descending), all with ids below `before`."""
        ...

    async def delivery(self, delivery_id: str) -> Delivery | None:
        """One attempt, of any account: callers check."""
        ...

    def forget(self, before: datetime, limit: int) -> Awaitable[int]:
        """Remove up to `limit` attempts begun before, and as many settled messages made before; gives how many."""
        ...


class SecretStore(Protocol):
    """Which generations of an account's signing secret count. The secrets themselves are not stored."""

    async def ended_generations(self, account_id: str) -> list[tuple[int, datetime]]:
        """Replaced generations, with the ends of their overlaps, the newest first. The current one is next."""
        ...

    def rotate(self, account_id: str, generation: int, ends_at: datetime) -> Awaitable[bool]:
        """Replace this generation, and let it and all older ones end then at the latest.

        False, and nothing happens, if it is not the current one any more.
        """
        ...


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver answered. Header names are lower case; `body` is its beginning."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpSender(Protocol):
    """Outbound HTTP for messages. `egress` fulfils it."""

    def check_url(self, url: str) -> None:
        """Refuse, without any network, what can never be reached.

        Raises:
            AddressRefused: port, malformed host, or a written address that is not allowed.
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
        """Send one message. Redirects are not followed. The name is looked up, and its address checked, each time.

        An answer counts from its status on: a body that does not end in time is cut, and only `keep_bytes` are kept.

        Raises:
            AddressRefused: the URL or a resolved address is not allowed; nothing was sent.
            FetchFailed: there was no answer in time. The message may have arrived all the same.
        """
        ...


class PayloadRenderer(Protocol):
    """Draws predictions as a GET would show them now (api fills it)."""

    async def encoded(self, row: Prediction, link_base: str | None) -> bytes:
        """The JSON of the prediction, with logs, and with links to its files rather than their bytes.

        Links begin with `link_base`; the configured public URL wins, and serves where the base is not known.
        """
        ...
