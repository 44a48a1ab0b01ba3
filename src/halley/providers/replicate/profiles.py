"""How the services differ that speak the Replicate HTTP API."""

from typing import Final

import msgspec

from halley.providers.services.poll_rules import PollRules

HOUR_SECONDS: Final = 3600.0


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of service.

    `key_seconds`: how long an idempotency key certainly belongs to its prediction; 0: the service takes none.
    `settle_seconds`: a run that its list does not show so long after the create was not begun; None: it has no list
    that could prove this. `delivery_hosts` serve output files, with all their subdomains.
    """

    name: str
    has_envelope: bool = False  # answers may be inside {"code", "message", "data"}
    refuses_with_500: bool = False  # 500 with the code `invalid_request` means that nothing was created
    has_own_503: bool = False  # its own 503, as a problem document, means that nothing was created
    key_seconds: float = 0.0
    settle_seconds: float | None = None
    has_models: bool = True
    has_files: bool = True
    has_streams: bool = False  # at its own host, or at one of `stream_hosts`
    stream_hosts: tuple[str, ...] = ()  # exactly these
    has_webhooks: bool = True
    needs_version: bool = False  # a model that is not official is only run by the id of a version
    delivery_hosts: tuple[str, ...] = ()
    poll: PollRules = PollRules()


PROFILES: Final = {
    profile.name: profile
    for profile in (
        Profile(
            name="replicate",
            settle_seconds=20.0,
            has_streams=True,
            stream_hosts=("stream.replicate.com",),
            needs_version=True,
            delivery_hosts=("replicate.delivery",),
        ),
        # its documents name no list, models, files, webhooks or limits; a query took 45 s (contract section 7)
        Profile(
            name="cometapi",
            has_envelope=True,
            refuses_with_500=True,
            has_models=False,
            has_files=False,
            has_webhooks=False,
            has_streams=True,
            stream_hosts=("stream.replicate.com",),
            delivery_hosts=("replicate.delivery",),
            poll=PollRules(first_seconds=1.0, changed_seconds=1.0, longest_seconds=10.0, per_second=2.0),
        ),
        # `limits.idempotency_seconds` is a day by default: half of it allows for another setting and other clocks
        Profile(
            name="halley",
            has_own_503=True,
            key_seconds=12 * HOUR_SECONDS,
            settle_seconds=10.0,
            has_streams=True,
            poll=PollRules(
                first_seconds=0.03, changed_seconds=0.15, longest_seconds=3.0, per_second=50.0, hinted_seconds=15.0
            ),
        ),
    )
}
"""By the value of the setting `profile`."""
