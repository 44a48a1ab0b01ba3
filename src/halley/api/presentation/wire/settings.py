"""How this server is set up: an extension, for operators."""

import msgspec

from halley.api.presentation.wire.health import HealthBody
from halley.api.presentation.wire.values import Time


class SettingBody(msgspec.Struct, kw_only=True):
    """A setting as `halley config show` has it: its value as text in TOML, or `none`. A secret is `********`."""

    name: str
    value: str
    origin: str  # `default`, or the file, variable or flag that set it


class DataDisk(msgspec.Struct, kw_only=True):
    """Where the data is, and the room on its disk; null if the disk does not say."""

    folder: str
    free_bytes: int | None
    total_bytes: int | None


class SettingsBody(msgspec.Struct, kw_only=True):
    """The server, whether it can accept work, and every setting that it uses."""

    version: str
    started_at: Time
    data: DataDisk
    health: HealthBody
    settings: list[SettingBody]
