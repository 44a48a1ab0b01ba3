"""The requests to a service that speaks the Replicate HTTP API."""

from functools import partial
from urllib.parse import quote

from halley.dispatch.upstreams import Answered
from halley.egress import OriginClient
from halley.errors import SubmitRefused
from halley.providers.replicate.profiles import Profile
from halley.providers.replicate.submit_answers import proves_nothing
from halley.providers.services.api import ServiceApi
from halley.providers.services.journal import Journal
from halley.providers.services.pace import ServicePace


class UpstreamApi(ServiceApi):
    """Sends requests to one service of a profile."""

    def __init__(
        self,
        origin: OriginClient,
        *,
        token: str | None,
        profile: Profile,
        timeout_seconds: float,
        pace: ServicePace,
        journal: Journal,
        answered: Answered,
    ) -> None:
        self.profile = profile
        super().__init__(
            origin,
            token=token,
            timeout_seconds=timeout_seconds,
            pace=pace,
            journal=journal,
            answered=answered,
            has_envelope=profile.has_envelope,
            is_refusal=partial(proves_nothing, profile),
        )


def run_path(handle: str) -> str:
    """The path of a prediction."""
    return f"/predictions/{quote(handle, safe='')}"


def model_path(model: str) -> str:
    """The path of the model `owner/name`.

    Raises:
        SubmitRefused: there can be no such model.
    """
    parts = model.split("/")
    if len(parts) != 2 or any(part in ("", ".", "..") for part in parts):
        raise SubmitRefused(f"{model!r} is no name of a model.", was_asked=False)
    return "/models/" + "/".join(quote(part, safe="") for part in parts)
