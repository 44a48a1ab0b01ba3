"""Kinds of values that settings have, and the base of their tables."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

DAY_SECONDS: Final = 86_400.0
MIB: Final = 2**20

Positive = Annotated[int, msgspec.Meta(gt=0)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
SomeSeconds = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]

NEVER: Final = "never"
_UNIT: Final = "(ms|s|m|h|d|w)"
Period = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^({NEVER}|[1-9]\d{{0,8}}(\.\d{{1,6}})?{_UNIT}(\d{{1,9}}(\.\d{{1,6}})?{_UNIT}){{0,6}})$",
        description="A duration such as `1h`, `30d` or `1h30m`, or `never`.",
    ),
]


class SettingsError(Exception):
    """A setting is unknown or has an invalid value; the message names it, its origin and the valid form."""

    code = "settings"


class SettingsTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of settings; each is a table of `halley.toml`."""
