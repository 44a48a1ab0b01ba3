"""All settings with types and defaults: a group is a table of `halley.toml`.

The last word of a name is its unit: `_seconds` takes `30`, `"30s"`, `"1h30m"`; `_bytes` takes `1024`, `"256MB"`,
`"32MiB"`. A `Period` may also be `"never"`, which means no end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from halley.settings.kinds import (
    DAY_SECONDS,
    MIB,
    NEVER,
    Period,
    Port,
    Positive,
    Seconds,
    SettingsTable,
    SomeSeconds,
)
from halley.settings.providers import ProviderSettings
from halley.settings.upstreams import RouteSettings

DEFAULT_PORT: Final = 1986


class ServerSettings(SettingsTable, frozen=True, kw_only=True):
    """Where Halley listens, and which proxies and names it trusts."""

    host: str = "127.0.0.1"
    port: Port = DEFAULT_PORT  # 0 takes any free port
    public_url: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()  # empty: no CORS headers at all
    access_log: bool = True
    debuggable: bool = False  # debuggers of the same user may read the process's memory, and so may models


class TlsSettings(SettingsTable, frozen=True, kw_only=True):
    """How Halley serves HTTPS itself; if nothing is set, it serves plain HTTP."""

    cert: Path | None = None
    key: Path | None = None  # None: in the same file as the certificate
    local: bool = False  # a certificate that Halley makes


class ModelSettings(SettingsTable, frozen=True, kw_only=True):
    """One local model; None means the general setting of `runs`."""

    path: Path
    preload: bool = False
    concurrency: Positive | None = None
    run_timeout_seconds: Seconds | None = None
    memory_limit_bytes: Positive | None = None
    replicas: Positive | None = None  # None: the value of x-halley in its cog.yaml, otherwise 1
    pinned: bool | None = None  # never unloaded; None: the value of x-halley, otherwise no
    gpu_memory_bytes: Positive | None = None  # None: the value of x-halley, otherwise a whole device if it needs one
    env: Literal["own", "current"] | None = None
    retention: Period | None = None  # None: the value of x-halley, otherwise that of `retention`
    visibility: Literal["public", "private"] = "private"


class CollectionSettings(SettingsTable, frozen=True, kw_only=True):
    """Models that are shown together at `/v1/collections/{slug}`."""

    name: str | None = None  # None: its slug
    description: str = ""
    full_description: str | None = None
    models: tuple[str, ...] = ()  # owner/name


class LimitSettings(SettingsTable, frozen=True, kw_only=True):
    """The limits table. Source: design section 7."""

    json_body_bytes: Positive = 32 * MIB
    json_depth: Positive = 64
    json_values: Positive = 1_000_000
    page_bytes: Positive = 8 * MIB
    bodies_bytes: Positive = 128 * MIB  # of all requests that are being received
    bodies_per_key_bytes: Positive = 64 * MIB
    listed_faults: Positive = 100
    upload_bytes: Positive = 100 * MIB
    file_name_bytes: Positive = 255
    inline_data_bytes: Positive = 16 * MIB
    webhook_url_bytes: Positive = 2048
    queued_per_account: Positive = 10_000
    queued_total: Positive = 100_000
    wait_create_max_seconds: SomeSeconds = 55.0  # never near 60: one client posts again at 60 (contract 0.10)
    wait_get_max_seconds: SomeSeconds = 60.0
    hold_seconds: Annotated[float, msgspec.Meta(ge=0, le=20)] = 2.0  # clients check for an abort between polls only
    hold_progress_seconds: Annotated[float, msgspec.Meta(ge=0, le=20)] = 0.5
    header_bytes: Positive = 32 * 1024
    header_seconds: Seconds = 10.0
    body_seconds: Seconds = 30.0  # without progress
    idle_seconds: Seconds = 75.0
    link_seconds: Annotated[float, msgspec.Meta(gt=0, le=7 * DAY_SECONDS)] = DAY_SECONDS
    log_bytes: Positive = 16 * MIB
    metric_bytes: Positive = 16 * MIB
    own_log_lines: Positive = 1000  # of each model, outside of predictions
    own_log_lines_per_minute: Annotated[int, msgspec.Meta(ge=0)] = 300  # in the server's log; 0: none
    output_events: Positive = 100_000
    output_bytes: Positive = 64 * MIB
    webhook_connect_seconds: Seconds = 5.0
    webhook_total_seconds: Seconds = 10.0
    file_life_seconds: Seconds = DAY_SECONDS
    idempotency_seconds: Seconds = DAY_SECONDS
    bulk_predictions: Positive = 10_000  # of one action
    data_url_bytes: Positive = 256_000  # one output file shown as a data: URL
    data_url_answer_bytes: Positive = 2_000_000  # all of them in one answer


class RunSettings(SettingsTable, frozen=True, kw_only=True):
    """Time limits of a prediction, and of its lease. Source: design section 4."""

    run_timeout_seconds: Seconds = 1800.0
    max_queue_seconds: Seconds = DAY_SECONDS
    unoffered_seconds: Seconds = 60.0  # workers need some to start again and to load their models
    cancel_grace_seconds: SomeSeconds = 5.0
    setup_timeout_seconds: Seconds = 600.0
    health_check_seconds: Seconds = 5.0
    health_timeout_seconds: Seconds = 10.0
    lease_seconds: Seconds = 20.0
    heartbeat_seconds: Seconds = 5.0
    max_attempts: Positive = 2
    abandoned_grace_seconds: SomeSeconds = 10.0  # clients that lose a connection reconnect within this time


class MemorySettings(SettingsTable, frozen=True, kw_only=True):
    """Memory of all replicas together; None sets no budget."""

    budget_bytes: Positive | None = None
    idle_unload_seconds: Seconds | None = None
    turn_seconds: Seconds = 10.0


class EnvironmentSettings(SettingsTable, frozen=True, kw_only=True):
    """The Python environments that models ask for. Source: design section 11."""

    env: Literal["own", "current"] = "own"  # current: the server's interpreter runs every model
    tool: Literal["auto", "uv", "pip"] = "auto"  # auto: uv if it is installed
    strict_python: bool = False
    folder: Path | None = None  # None: `envs` in the data folder
    build_timeout_seconds: Seconds = 1800.0
    max_bytes: Positive | None = 50 * 2**30


class IsolationSettings(SettingsTable, frozen=True, kw_only=True):
    """How the processes of models are isolated. `isolation = "plain"` is short for its mode."""

    mode: Literal["auto", "plain", "off"] = "auto"
    share: tuple[str, ...] = ("/tmp/.X11-unix", "/tmp/nvidia-mps")  # noqa: S108 - visible to all replicas unchanged
    folder: Path | None = None  # files that setups left; None: `setup` in the data folder
    setup_bytes: Positive = 100 * 2**30  # the most that one version's setup may leave for later processes


class EgressSettings(SettingsTable, frozen=True, kw_only=True):
    """Outbound HTTP: which private addresses are allowed, and the limits of a request."""

    allow: tuple[str, ...] = ()  # "10.0.0.5:8080", "10.1.0.0/16:443", "[::1]:80"
    http: bool = True  # allow http: URLs
    timeout_seconds: Seconds = 60.0
    max_bytes: Positive = 1024 * MIB
    max_redirects: Annotated[int, msgspec.Meta(ge=0)] = 3


class InputSettings(SettingsTable, frozen=True, kw_only=True):
    """What inputs may contain besides links."""

    allow_folders: tuple[Path, ...] = ()  # inputs may name files in them by their path on the server


class RetentionSettings(SettingsTable, frozen=True, kw_only=True):
    """How long finished predictions keep their data, by how they were created. A model or a key may override it."""

    api: Period = "30d"
    web: Period = NEVER


class WebhookSettings(SettingsTable, frozen=True, kw_only=True):
    """How webhooks are sent. Source: contract section 11."""

    http: bool = False  # allow http: URLs; to this machine they are allowed wherever it may be reached at all
    retry_first_seconds: Seconds = 2.0  # the pause before the second attempt; each further one is twice as long
    retry_for_seconds: Annotated[float, msgspec.Meta(ge=0, le=3 * DAY_SECONDS)] = 62.0  # 2 + 4 + 8 + 16 + 32
    per_endpoint: Positive = 4  # attempts at once to one host and port
    log_seconds: Seconds = 7 * DAY_SECONDS
    secret_overlap_seconds: SomeSeconds = DAY_SECONDS  # how long a replaced secret is used together with the new one


class QuirkSettings(SettingsTable, frozen=True, kw_only=True):
    """Switches for the special treatment of some clients. Source: contract section 17, D3, D6, D10, D21, D34."""

    expose_aborted: bool = False
    data_urls: bool = True
    hold_polls: bool = True
    repeated_creates: bool = True  # a create that a client sends again automatically makes no second prediction
    strict_inputs: bool = False
    output_links_need_key: bool = False  # a link to an output file alone does not grant access


class UpgradeSettings(SettingsTable, frozen=True, kw_only=True):
    """What is done before a newer release changes the database."""

    backup: bool = True
    keep_backups: Positive = 3

    @property
    def kept(self) -> int:
        """How many backups are kept; 0: none is made."""
        return self.keep_backups if self.backup else 0


class Settings(SettingsTable, frozen=True, kw_only=True):
    """All settings. `origins` maps each dotted name to the origin of its value."""

    data: Path
    server: ServerSettings = ServerSettings()
    tls: TlsSettings = TlsSettings()
    demo: bool = True
    models: dict[str, ModelSettings] = msgspec.field(default_factory=dict)
    collections: dict[str, CollectionSettings] = msgspec.field(default_factory=dict)
    providers: dict[str, ProviderSettings] = msgspec.field(default_factory=dict)
    routes: dict[str, RouteSettings] = msgspec.field(default_factory=dict)
    limits: LimitSettings = LimitSettings()
    runs: RunSettings = RunSettings()
    memory: MemorySettings = MemorySettings()
    environments: EnvironmentSettings = EnvironmentSettings()
    isolation: IsolationSettings = IsolationSettings()
    egress: EgressSettings = EgressSettings()
    inputs: InputSettings = InputSettings()
    retention: RetentionSettings = RetentionSettings()
    webhooks: WebhookSettings = WebhookSettings()
    quirks: QuirkSettings = QuirkSettings()
    upgrades: UpgradeSettings = UpgradeSettings()
    admin_key: str | None = None
    origins: dict[str, str] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        # The derived one would print the admin key in any log or traceback that shows the settings.
        return f"Settings(data={self.data!s})"
