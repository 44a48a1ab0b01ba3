"""Every setting of a Halley server: one frozen value, read once, with the origin of each part.

No other part reads the environment. Order: flag > `HALLEY_*` > `--config` file > `./halley.toml` > the user's file >
default. `shapes` defines the settings, `sources` reads the sources, `reading` combines them.
"""

from halley.settings.kinds import NEVER, Period, SettingsError, SettingsTable
from halley.settings.names import MASK, reloaded, shown
from halley.settings.process import (
    hand_over,
    hide_environ,
    open_to_debuggers,
    process_environ,
    take_environ,
    without_secrets,
)
from halley.settings.providers import (
    PROVIDER_KINDS,
    CogSettings,
    HttpJobSettings,
    ProviderSettings,
    ReplicateSettings,
)
from halley.settings.reading import read_settings
from halley.settings.shapes import (
    DEFAULT_PORT,
    CollectionSettings,
    EgressSettings,
    EnvironmentSettings,
    IsolationSettings,
    LimitSettings,
    MemorySettings,
    ModelSettings,
    QuirkSettings,
    RetentionSettings,
    RunSettings,
    ServerSettings,
    Settings,
    TlsSettings,
    UpgradeSettings,
    WebhookSettings,
)
from halley.settings.units import parse_bytes, parse_period, parse_seconds, read_period
from halley.settings.upstreams import LOCAL, RouteSettings

__all__ = [
    "DEFAULT_PORT",
    "LOCAL",
    "MASK",
    "NEVER",
    "PROVIDER_KINDS",
    "CogSettings",
    "CollectionSettings",
    "EgressSettings",
    "EnvironmentSettings",
    "HttpJobSettings",
    "IsolationSettings",
    "LimitSettings",
    "MemorySettings",
    "ModelSettings",
    "Period",
    "ProviderSettings",
    "QuirkSettings",
    "ReplicateSettings",
    "RetentionSettings",
    "RouteSettings",
    "RunSettings",
    "ServerSettings",
    "Settings",
    "SettingsError",
    "SettingsTable",
    "TlsSettings",
    "UpgradeSettings",
    "WebhookSettings",
    "hand_over",
    "hide_environ",
    "open_to_debuggers",
    "parse_bytes",
    "parse_period",
    "parse_seconds",
    "process_environ",
    "read_period",
    "read_settings",
    "reloaded",
    "shown",
    "take_environ",
    "without_secrets",
]
