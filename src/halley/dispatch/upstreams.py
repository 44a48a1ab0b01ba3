"""What a provider for a service elsewhere offers besides running predictions: models with schemas, its state, a close.

A provider is constructed by `app.upstream_kinds` from the settings of its kind, its token (or None), a clock, and
`providers.services.dependencies.UpstreamDependencies`, whose function types are at the end of this module.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

import msgspec

from halley.dispatch.ports import Provider, Work


class UpstreamTarget(msgspec.Struct, frozen=True, kw_only=True):
    """What one of our versions is called at an upstream.

    `version` None: the newest one there. If the service needs a version in a create, its provider asks for the newest.
    """

    model: str  # owner/name
    version: str | None = None
    passes_links: bool = False  # outputs keep the links of the service, and their files are not copied
    is_former: bool = False  # no route leads there any more: what runs there is followed, and nothing begins


class UpstreamModel(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a model, as an upstream describes it."""

    model: str  # owner/name
    version: str | None  # its id there; None if the service has none or hides it
    openapi_schema: bytes = b""  # a JSON object; b"" if the service gives none
    description: str | None = None


class UpstreamFault(msgspec.Struct, frozen=True, kw_only=True):
    """An error of an upstream. `text` has no secret and no query string."""

    at: datetime
    text: str


class SubmitBucket(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of an upstream for submits: `left` of `limit` in a period that ends in `reset_seconds`, as it said;
    and how many may be without an answer `at_once`, after it refused some. None: it said nothing.
    """

    left: int | None = None
    limit: int | None = None
    reset_seconds: float | None = None
    at_once: int | None = None


class UpstreamAddress(msgspec.Struct, frozen=True, kw_only=True):
    """One of several addresses of an upstream. `why` says why nothing begins there; "" if runs do."""

    url: str
    why: str
    in_flight: int
    slots: int


WebhookState = Literal["arriving", "awaited", "refused"]
"""Whether webhooks of a service arrive: lately; not, or not yet; it refuses to send them to this server."""


class UpstreamBalance(msgspec.Struct, frozen=True, kw_only=True):
    """What was left at the service at a time, in money or credit as it counts them."""

    left: float
    unit: str | None
    at: datetime


class UpstreamReport(msgspec.Struct, frozen=True, kw_only=True):
    """The state of an upstream, as its provider knows it. No I/O was needed for it."""

    in_flight: int  # runs that are submitted or being submitted, and not over
    slots: int  # how many there may be
    unknown: int = 0  # submits without a clear answer since the start
    paused_seconds: float = 0.0  # the service asked us to submit nothing for so long
    bucket: SubmitBucket | None = None
    waits_for: str = ""  # why it can begin nothing now, although it may be reached
    addresses: Sequence[UpstreamAddress] = ()  # if each has slots of its own
    webhooks: WebhookState | None = None  # None: it is asked for none
    balance: UpstreamBalance | None = None  # the newest that is known
    faults: Sequence[UpstreamFault] = ()  # the last few, newest first


class ModelDescriber(Protocol):
    """Describes the models of an upstream."""

    async def find_model(self, target: UpstreamTarget) -> UpstreamModel | None:
        """The model with the named version, or with its newest one. None: the service has no such model.

        A service that cannot describe its models may have each: `version` None, and no schema.

        Raises:
            ProviderBusy: the service cannot be asked now; the message says why.
        """
        ...


class UpstreamProvider(Provider, ModelDescriber, Protocol):
    """A provider for a service elsewhere, with its models and its state. `place` stands for its address and token: what
    has another one may be another service, or another account there.
    """

    place: str

    def listen(self, *, on_capacity: Callable[[str], None], on_broken: Callable[[str, str, str], None]) -> None:
        """Set the callbacks for capacity and for versions that cannot run; call it first. See `CountedSlots`."""
        ...

    def use_token(self, token: str | None) -> None:
        """Send this token from now on, also for runs of before."""
        ...

    def report(self) -> UpstreamReport:
        """Its state now."""
        ...

    async def close(self) -> None:
        """End its own tasks and connections. Runs continue; nothing is canceled."""
        ...


@runtime_checkable
class RunFinder(Protocol):
    """What a provider for a service elsewhere may offer besides: to find runs there. It never begins one."""

    async def has_run(self, handle: str) -> bool:
        """Whether the service has a run of this handle now.

        Raises:
            ProviderBusy: it cannot be asked now.
        """
        ...

    async def find_begun(self, work: Work, within_seconds: float, named: str | None = None) -> str | None:
        """The run that a submit of this work began, whose answer was lost; None if it cannot be determined now.

        It was sent within so many seconds after the prediction was created. `named` is what a webhook for this work
        says, which is checked at the service. The attempt and the slot of the work mean
        nothing here.

        Raises:
            ProviderBusy, SubmitRefused: the service cannot be asked now, or has no such model any more.
        """
        ...


@runtime_checkable
class RunDescriber(Protocol):
    """What a provider for a service elsewhere may offer besides: to say of which model a run there is."""

    async def other_model(self, handle: str, version: str) -> str | None:
        """The model of this run, as its service names it, if it is another one than the version's; None if it can be
        the same.

        Raises:
            ProviderBusy: it cannot be asked now.
        """
        ...


FindTarget = Callable[[str], UpstreamTarget | None]
"""What a version (by our id) is called at the upstream; None: it never had a route there that is known. No I/O."""

HeldHandles = Callable[[Sequence[str]], Awaitable[frozenset[str]]]
"""Which of these handles are stored with a prediction of ours: looking for a lost submit leaves them out."""

Answered = Callable[[bool], None]
"""Called with how a request ended: True for any answer of the service itself, False for none or a 5xx."""
