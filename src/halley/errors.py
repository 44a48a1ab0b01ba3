"""The error tree. No HTTP words, no exit codes: `api.presentation.problems` and `cli` map these, each in one place.

HalleyError
├── Refused            the request cannot succeed: repeating it unchanged will not help
│   ├── BadRequest         malformed
│   ├── EncodingUnsupported    compressed, or encoded in another way
│   ├── InputInvalid       understood, but violates the schema; carries every fault
│   ├── VersionUnknown     names a version or model that cannot run here
│   ├── NotAuthenticated   no key, or one that is not valid
│   ├── Forbidden          the key lacks the scope
│   ├── NotFound           absent, or of another account: the caller cannot tell which
│   ├── Conflict           conflicts with the present state
│   │   └── CreateInFlight     a create with the same idempotency key is still being answered
│   ├── KeyReused          an idempotency key that belongs to another request
│   ├── WrongState         the lifecycle has no such step
│   ├── TooLarge           over a limit that is named
│   ├── SubmitRefused      a provider will not run it, now or later
│   ├── SubmitLimitReached as many were submitted to a provider in 24 hours as the operator allows
│   └── AddressRefused     an outbound address the operator does not allow
├── Busy               may work later; carries how long to wait
│   ├── QueueFull          the account has too many waiting predictions
│   ├── BodiesFull         the key has too large bodies on their way
│   ├── Overloaded         the whole server has
│   ├── ProviderBusy       a provider cannot take it now; nothing was begun
│   └── StorageFull        no room on the disk
├── ModelBroken        the model is configured here, but cannot run until it is repaired
├── LeaseLost          another holder owns this prediction now: stop and write nothing
├── DutyLost           another process does this duty now: stop it and write nothing
├── OutcomeUnknown     a provider may have begun it: it must not be submitted again
├── FetchFailed        another host did not return the data
└── Unusable           this server, its data or its configuration cannot start
"""

from typing import ClassVar

import msgspec


class InvalidField(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of an input (contract section 4): `field` is `input` or `input.<name>`."""

    type: str
    field: str
    description: str


class HalleyError(Exception):
    """Base of all expected errors. `code` is documented and never renamed."""

    code: ClassVar[str] = "internal"


class Refused(HalleyError):
    """The request is refused; the message says why."""

    code = "refused"


class BadRequest(Refused):
    """The request cannot be understood."""

    code = "bad_request"


class EncodingUnsupported(Refused):
    """The body is compressed or encoded in another way; send it without encoding."""

    code = "encoding_unsupported"


class InputInvalid(Refused):
    """The request is understood but violates a rule; `fields` lists every fault, never only the first."""

    code = "input_invalid"

    def __init__(self, fields: tuple[InvalidField, ...]) -> None:
        super().__init__("".join(f"- {field.field}: {field.description}\n" for field in fields))
        self.fields = fields


class VersionUnknown(Refused):
    """The model or version does not exist on this server, or the caller may not run it."""

    code = "version_unknown"


class NotAuthenticated(Refused):
    """No key was passed, or it is not valid."""

    code = "unauthenticated"


class Forbidden(Refused):
    """The key is valid but lacks the scope."""

    code = "forbidden"


class NotFound(Refused):
    """The named resource does not exist, or belongs to another account."""

    code = "not_found"


class Conflict(Refused):
    """The request conflicts with the current state."""

    code = "conflict"


class CreateInFlight(Conflict):
    """A create with this idempotency key is still being answered on another connection."""

    code = "create_in_flight"


class KeyReused(Refused):
    """The idempotency key was used before, for a different request."""

    code = "idempotency_key_reused"

    @classmethod
    def of(cls, prediction_id: str) -> "KeyReused":
        """The refusal, with what the key belongs to."""
        return cls(
            f"This Idempotency-Key was used for another request, which created the prediction {prediction_id}. "
            "Use a fresh key for a new prediction, or send the first request again unchanged."
        )


class WrongState(Refused):
    """The lifecycle does not allow this step from the current state."""

    code = "wrong_state"


class TooLarge(Refused):
    """Something is over a limit; the message names the limit and its setting."""

    code = "too_large"


class SubmitRefused(Refused):
    """The provider refuses the prediction finally; nothing was begun."""

    code = "submit_refused"

    def __init__(self, message: str, *, is_of_place: bool = False, was_asked: bool = True) -> None:
        """`is_of_place`: because of itself, its account with us or its models; another provider may accept it.
        `was_asked`: a create was sent, which it answered.
        """
        super().__init__(message)
        self.is_of_place = is_of_place
        self.was_asked = was_asked


class SubmitLimitReached(Refused):
    """As many predictions were submitted to a provider in 24 hours as its settings allow; nothing was begun."""

    code = "submit_limit_reached"

    def __init__(self, message: str, *, seconds: float = 0.0) -> None:
        """`seconds`: until the next one is allowed."""
        super().__init__(message)
        self.seconds = seconds


class AddressRefused(Refused):
    """An outbound address that the operator does not allow."""

    code = "address_refused"


class Busy(HalleyError):
    """It may work later."""

    code = "busy"

    def __init__(self, message: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class QueueFull(Busy):
    """The account has the maximum number of waiting predictions."""

    code = "queue_full"


class BodiesFull(Busy):
    """The request bodies of this key that are being received have reached their limit."""

    code = "bodies_full"


class Overloaded(Busy):
    """The server cannot accept more work, or is stopping."""

    code = "overloaded"


class ProviderBusy(Busy):
    """The provider cannot accept the prediction now; nothing was begun."""

    code = "provider_busy"

    def __init__(self, message: str, *, retry_after_seconds: int = 1, was_asked: bool = True) -> None:
        """`was_asked`: a request was sent, or a connection was tried."""
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.was_asked = was_asked


class StorageFull(Busy):
    """The disk has no room; nothing was stored."""

    code = "storage_full"


class ModelBroken(HalleyError):
    """The model is configured here but cannot run before its operator repairs it; the message has the reason."""

    code = "model_broken"


class LeaseLost(HalleyError):
    """The lease or the session now belongs to another holder: stop, and write nothing more."""

    code = "lease_lost"


class DutyLost(HalleyError):
    """Another process has taken over a duty that only one may do at a time: stop doing it, and write nothing more."""

    code = "duty_lost"


class OutcomeUnknown(HalleyError):
    """The provider may have begun the prediction, but this is unknown: it is never submitted again automatically."""

    code = "upstream_outcome_unknown"


class FetchFailed(HalleyError):
    """Another host did not return the requested data; `status` is that of its answer, if it gave one."""

    code = "fetch_failed"

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Unusable(HalleyError):
    """This server, its data or its configuration cannot be used; the message says what to do."""

    code = "unusable"
