"""Builds webhooks: allowed receivers, retry schedule, and the two parts that share a store and a signer."""

import random  # noqa: TID251 - the app makes it and hands it on
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from halley.clock import Clock
from halley.egress import Egress, rules_from
from halley.ids import NewId
from halley.predictions.duties import Duty
from halley.predictions.hints import Bus
from halley.predictions.ports import ExpiryPolicy
from halley.predictions.progress_cache import ProgressCache
from halley.predictions.reading import PredictionReader
from halley.retention.periods import Endless
from halley.retry import HousekeepingFaults
from halley.settings import Settings
from halley.store.ports import Store
from halley.store.secrets import Secrets
from halley.webhooks.address import Receivers
from halley.webhooks.admin import WebhookAdmin
from halley.webhooks.capacity import CAPACITY
from halley.webhooks.message_source import MessageSource
from halley.webhooks.monotonic_wall_clock import MonotonicWallClock
from halley.webhooks.on_duty import WebhooksOnDuty
from halley.webhooks.ports import DeliveryStore, PayloadRenderer
from halley.webhooks.sender import Sender
from halley.webhooks.service import WebhookRules, WebhookService
from halley.webhooks.signing import Signer

_OWN_MACHINE: Final = ("127.0.0.0/8:*", "[::1]:*")


class WebhookParts:
    """`admin` is for API and pages; `service` runs beside the server, and needs the payloads of the API."""

    def __init__(
        self,
        settings: Settings,
        secrets: Secrets,
        *,
        store: Store,
        bus: Bus,
        data_ends: ExpiryPolicy,
        clock: Clock,
        new_id: NewId,
        running: ProgressCache,
    ) -> None:
        self._settings = settings
        self._running = running
        self._store = store
        self._clock = clock
        self._pause_clock = MonotonicWallClock(clock)
        self._new_id = new_id
        self._signer = Signer(secrets.webhook_root, store.deliveries, clock)
        self._http_sender = _http_sender(settings)
        self.admin = WebhookAdmin(
            store=store.deliveries,
            signer=self._signer,
            receivers=Receivers(
                self._http_sender,
                limit_bytes=settings.limits.webhook_url_bytes,
                http=settings.webhooks.http,
                is_loopback_open=is_loopback_open(settings),
            ),
            reader=PredictionReader(store=store, data_ends=data_ends, clock=clock, running=running),
            bus=bus,
            pause_clock=self._pause_clock,
            new_id=new_id,
            overlap_seconds=settings.webhooks.secret_overlap_seconds,
        )

    def service(
        self, pictures: PayloadRenderer, housekeeping_faults: HousekeepingFaults | None = None
    ) -> WebhooksOnDuty:
        """The part that runs in the background."""
        return WebhooksOnDuty(lambda duty: self._service(duty, pictures, housekeeping_faults))

    def _service(
        self, duty: Duty | None, pictures: PayloadRenderer, housekeeping_faults: HousekeepingFaults | None
    ) -> WebhookService:
        rules = _rules(self._settings)
        deliveries = self._store.deliveries
        store: DeliveryStore = deliveries if duty is None else deliveries.on_duty(duty)
        return WebhookService(
            store=store,
            # a late message has the same content as one in time
            source=MessageSource(
                reader=PredictionReader(
                    store=self._store, data_ends=Endless(), clock=self._clock, running=self._running
                ),
                pictures=pictures,
            ),
            sender=Sender(
                store=store,
                signer=self._signer,
                http_sender=self._http_sender,
                clock=self._clock,
                new_id=self._new_id,
                limits=rules.of_one_attempt,
            ),
            pause_clock=self._pause_clock,
            new_id=self._new_id,
            chance=random.Random().uniform,  # noqa: S311 - spreads retries, not a secret
            rules=rules,
            housekeeping_faults=housekeeping_faults,
        )


def is_loopback_open(settings: Settings) -> bool:
    """Whether callers can only be on this machine, so that its own ports are no secret from them.

    A server on loopback behind a proxy or with a public name has callers from elsewhere, whose webhooks could reach
    other programs on this machine; an allowed host is such a name. Source: design section 7.
    """
    server = settings.server
    public_host = urlsplit(server.public_url).hostname if server.public_url else None
    allowed = [urlsplit(f"//{host}").hostname or "" for host in server.allowed_hosts]
    hosts = [server.host, *([public_host] if public_host else []), *allowed]
    return not server.trusted_proxies and all(map(is_loopback, hosts))


def is_loopback(host: str) -> bool:
    """Whether the host of a URL is this machine itself, by its address or name."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _http_sender(settings: Settings) -> Egress:
    own = _OWN_MACHINE if is_loopback_open(settings) else ()
    # `webhooks` limits its attempts itself: none may wait in `egress`, where its time limit is running
    return Egress(rules_from([*settings.egress.allow, *own]), max_redirects=0, max_concurrent=2 * CAPACITY)


def _rules(settings: Settings) -> WebhookRules:
    limits, webhooks = settings.limits, settings.webhooks
    return WebhookRules(
        connect_seconds=limits.webhook_connect_seconds,
        total_seconds=limits.webhook_total_seconds,
        retry_first_seconds=webhooks.retry_first_seconds,
        retry_for_seconds=webhooks.retry_for_seconds,
        per_endpoint=webhooks.per_endpoint,
        log_seconds=webhooks.log_seconds,
    )
