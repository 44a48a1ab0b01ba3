"""The answer to a model that wants a process: it may start one, must wait, or can never have one here."""

import msgspec

from halley.replicas.devices import Device


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A replica may start now."""

    device: Device | None = None


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """Not now; `load` is called again when things have changed."""

    why: str


class Never(msgspec.Struct, frozen=True, kw_only=True):
    """Not on this machine."""

    error: str
