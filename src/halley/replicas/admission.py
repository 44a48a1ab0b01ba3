"""Answers to a model that wants to start a process: it may, it must wait, or it can never run here."""

import msgspec

from halley.replicas.devices import Device


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A replica may start now."""

    device: Device | None = None


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """Not now; `load` is called again when this may have changed."""

    why: str


class Never(msgspec.Struct, frozen=True, kw_only=True):
    """Not possible on this machine."""

    error: str
