"""The settings of services elsewhere that run predictions: `[providers.NAME]`, a class for each kind of service."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from halley.settings.kinds import DAY_SECONDS, MIB, Positive, Seconds, SettingsTable, Share

LookSeconds = Annotated[float, msgspec.Meta(ge=0, le=7 * DAY_SECONDS)]


class ProviderSettings(SettingsTable, frozen=True, kw_only=True):
    """What the kinds have in common. A token is never in the file itself."""

    kind: str
    token_env: str | None = None  # the environment variable that has the token
    token_file: Path | None = None
    max_in_flight: Positive = 20  # runs at once
    max_submits_per_day: Positive | None = None  # predictions that it may get in 24 hours
    retry_share: Share = 0.2  # so many submits for each accepted one may come to nothing
    timeout_seconds: Seconds = 60.0  # of one request

    def addresses(self) -> tuple[tuple[str, str], ...]:
        """The roots of its APIs, each with the member that has it; the first is the usual one."""
        return ()

    def dialect(self) -> str | None:
        """How it differs from others of its kind, in one word."""
        return None

    def takes_webhooks(self) -> bool | None:
        """Whether it is asked to send webhooks; None: if it can be expected to reach this server."""
        return False

    def late_seconds(self) -> float:
        """How long a run is looked for after its prediction has failed with an unknown outcome; 0: not at all."""
        return 0.0

    def takes_input_links(self) -> bool | None:
        """Whether it reads files of this server at their links; None: once a webhook of it has arrived."""
        return False

    def needs_public_url(self) -> Iterable[str]:
        """Its members that need `server.public_url`."""
        return ()

    def faults(self) -> Iterable[tuple[str, str]]:
        """What is wrong with its members together: a member, and a sentence that continues its name."""
        return ()


class ReplicateSettings(ProviderSettings, frozen=True, kw_only=True):
    """A service that speaks the Replicate HTTP API."""

    kind: Literal["replicate"]
    url: str  # the root of its API, such as https://api.replicate.com/v1
    profile: Literal["replicate", "cometapi", "halley"] = "replicate"
    look_seconds: Seconds = 30.0  # how long a submit without a clear answer is looked for
    late_look_seconds: LookSeconds = 3600.0  # how long its run is looked for after that; 0: not at all
    data_url_bytes: Positive = 256_000  # a larger input file is uploaded to it first
    webhooks: bool | None = None  # followed by them; None: if server.public_url is https, or both are on this machine
    input_links: bool | None = None  # it reads our files at server.public_url; None: once a webhook of it has arrived

    def addresses(self) -> tuple[tuple[str, str], ...]:
        return (("url", self.url),)

    def dialect(self) -> str | None:
        return self.profile

    def takes_webhooks(self) -> bool | None:
        return self.webhooks

    def takes_input_links(self) -> bool | None:
        return self.input_links

    def needs_public_url(self) -> Iterable[str]:
        return [name for name in ("webhooks", "input_links") if getattr(self, name)]

    def faults(self) -> Iterable[tuple[str, str]]:
        if self.webhooks and self.profile == "cometapi":
            yield "webhooks", "cannot be true: the profile cometapi has no webhooks."

    def late_seconds(self) -> float:
        return self.late_look_seconds


class CogSettings(ProviderSettings, frozen=True, kw_only=True):
    """Cog HTTP servers with the same model."""

    kind: Literal["cog"]
    url: str | None = None  # of one server
    urls: tuple[str, ...] = ()  # of several
    concurrency: Positive = 1  # runs at once at each of them
    data_url_bytes: Positive = 16 * MIB  # the largest input file: it is sent inside the request
    input_links: bool = False  # they read our files at server.public_url
    rerun_lost: bool = False  # a run whose end was lost is sent again

    def takes_input_links(self) -> bool | None:
        return self.input_links

    def needs_public_url(self) -> Iterable[str]:
        return ("input_links",) if self.input_links else ()

    def addresses(self) -> tuple[tuple[str, str], ...]:
        alone = () if self.url is None else (("url", self.url),)
        return alone + tuple(("urls", url) for url in self.urls)

    def faults(self) -> Iterable[tuple[str, str]]:
        if self.url is not None and self.urls:
            yield "urls", "and url exclude each other."
        elif not self.addresses():
            yield "kind", 'is "cog" and needs the address of a server: url = "http://127.0.0.1:5000", or urls = [...].'
        elif len({url.rstrip("/") for url in self.urls}) < len(self.urls):
            yield "urls", "names an address twice."


class HttpJobSettings(ProviderSettings, frozen=True, kw_only=True):
    """A service with the pattern "submit, poll, fetch", described by a job file."""

    kind: Literal["http-job"]
    url: str  # the root of its API; the paths in the file are below it
    file: Path  # the job file
    look_seconds: Seconds = 30.0  # how long a submit without a clear answer is looked for
    late_look_seconds: LookSeconds = 3600.0  # how long its run is looked for after that; 0: not at all
    data_url_bytes: Positive = 256_000  # a larger input file is refused, if the service takes files inside of JSON
    input_links: bool = False  # it reads our files at server.public_url

    def addresses(self) -> tuple[tuple[str, str], ...]:
        return (("url", self.url),)

    def late_seconds(self) -> float:
        return self.late_look_seconds

    def takes_input_links(self) -> bool | None:
        return self.input_links

    def needs_public_url(self) -> Iterable[str]:
        return ["input_links"] if self.input_links else []


PROVIDER_KINDS: Final[dict[str, type[ProviderSettings]]] = {
    "replicate": ReplicateSettings,
    "cog": CogSettings,
    "http-job": HttpJobSettings,
}
"""By the word of the member `kind`."""
