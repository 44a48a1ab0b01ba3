"""Whether this server works, and what it has counted: an extension."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from halley.api.presentation.wire.values import Time


class HealthBody(msgspec.Struct, kw_only=True):
    """`reasons` names each part that is not ready, with what is wrong.

    With `?verbose`, `housekeeping` names what could not be tidied up and is tried again; it keeps no work away.
    """

    status: Literal["ok", "ready", "not ready"]
    reasons: dict[str, str] = {}
    checks: dict[str, str] | UnsetType = UNSET  # what was looked at, each "ok" or what is wrong
    housekeeping: dict[str, str] | UnsetType = UNSET


class Counts(msgspec.Struct, kw_only=True):
    """What this server process has counted since it started.

    `replayed_creates` by how the repeats were recognized, `ignored_members` of creates by name, `breaker_openings` of
    services elsewhere.
    """

    since: Time
    replayed_creates: dict[str, int]
    ignored_members: dict[str, int]
    breaker_openings: dict[str, int]
