"""Settings of services elsewhere that run predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from halley.settings.shapes import Positive, Seconds, SettingsTable


class ProviderSettings(SettingsTable, frozen=True, kw_only=True):
    """One service elsewhere: `[providers.NAME]`. Its token is never in the file itself."""

    kind: Literal["replicate"]
    url: str  # the root of its API, such as https://api.replicate.com/v1
    token_env: str | None = None  # the environment variable that has the token
    token_file: Path | None = None
    profile: Literal["replicate", "cometapi", "halley"] = "replicate"
    max_in_flight: Positive = 20  # runs at once
    timeout_seconds: Seconds = 60.0  # of one request
    look_seconds: Seconds = 30.0  # how long a submit without a clear answer is looked for
    data_url_bytes: Positive = 256_000  # a larger input file is uploaded to it first
