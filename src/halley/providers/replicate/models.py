"""Models of a service, and their schemas."""

import re
from typing import Final
from urllib.parse import quote

import msgspec

from halley.clock import Clock
from halley.dispatch.upstreams import UpstreamModel, UpstreamTarget
from halley.errors import SubmitRefused
from halley.providers.replicate.api import UpstreamApi, model_path
from halley.providers.services.answers import Body

_DESCRIPTION_CHARS: Final = 10_000
KEPT_SECONDS: Final = 300.0  # how long the version by which a model is run is cached
_ID: Final = re.compile(r"[0-9a-f]{64}")  # others hide it: `hidden`, `dp-` with digits


class UpstreamModels:
    """Asks for models. Implements `dispatch.upstreams.ModelDescriber`."""

    def __init__(self, api: UpstreamApi, *, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._needed: dict[str, tuple[float, str | None]] = {}  # by model: until when, and the version

    async def find_model(self, target: UpstreamTarget) -> UpstreamModel | None:
        """See `ModelDescriber`. A service without a list of models may have every one."""
        path = _path(target.model)
        if path is None:
            return None
        if not self._api.profile.has_models:
            return UpstreamModel(model=target.model, version=target.version)
        if target.version is None:
            return None if (body := await self._api.get(path)) is None else _newest(target.model, body)
        body = await self._api.get(f"{path}/versions/{quote(target.version, safe='')}")
        if body is None:
            return None
        return UpstreamModel(model=target.model, version=target.version, openapi_schema=_document(body))

    async def needed_version(self, model: str) -> str | None:
        """The version id that a create must name; None if the model's own path runs it.

        Raises:
            SubmitRefused: the service has no such model.
            ProviderBusy: the service cannot be asked now.
        """
        now = self._clock.monotonic()
        until, version = self._needed.get(model, (0.0, None))
        if now < until:
            return version
        body = await self._api.get(model_path(model))
        if body is None:
            raise SubmitRefused(f"The service has no model {model}.", is_of_place=True, was_asked=False)
        version = None if body.get("is_official") is True else _newest(model, body).version
        self._needed[model] = (now + KEPT_SECONDS, version)
        return version


def _newest(model: str, body: Body) -> UpstreamModel:
    latest = body.get("latest_version")
    description = body.get("description")
    latest = latest if isinstance(latest, dict) else {}
    version = latest.get("id")
    return UpstreamModel(
        model=model,
        version=version if isinstance(version, str) and _ID.fullmatch(version) else None,
        openapi_schema=_document(latest),
        description=description[:_DESCRIPTION_CHARS] if isinstance(description, str) and description else None,
    )


def _document(version: Body) -> bytes:
    found = version.get("openapi_schema")
    return msgspec.json.encode(found) if isinstance(found, dict) and found else b""


def _path(model: str) -> str | None:
    try:
        return model_path(model)
    except SubmitRefused:
        return None
