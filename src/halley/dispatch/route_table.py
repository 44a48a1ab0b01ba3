"""Finds the route of a model: by its exact name, otherwise by the longest pattern that matches. Without a route a model
runs on this machine.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from halley.dispatch.upstreams import UpstreamTarget
from halley.models.records import Version
from halley.settings import LOCAL, RouteSettings

_ORIGIN: Final = "upstream"


class ModelRoute(msgspec.Struct, frozen=True):
    """The route of a model; `pattern` is its name in the settings."""

    pattern: str
    settings: RouteSettings

    @property
    def upstreams(self) -> tuple[str, ...]:
        """Its providers, without this machine."""
        return tuple(name for name in self.settings.places if name != LOCAL)

    def there(self, model: str) -> str:
        """What `owner/name` is called at its upstreams."""
        if self.settings.model is None:
            return model
        owner, _, name = model.partition("/")
        return self.settings.model.replace("{owner}", owner).replace("{name}", name)


class ModelRoutes:
    """The routes of the settings, which may be replaced while the server runs."""

    def __init__(self, routes: Mapping[str, RouteSettings]) -> None:
        self.replace(routes)

    def replace(self, routes: Mapping[str, RouteSettings]) -> None:
        """Use these routes from now on."""
        self._exact = {name: ModelRoute(name, one) for name, one in routes.items() if "*" not in name}
        patterns = sorted((name for name in routes if "*" in name), key=lambda name: (-len(name), name))
        self._patterns = [(_compiled(name), ModelRoute(name, routes[name])) for name in patterns]

    def __bool__(self) -> bool:
        return bool(self._exact or self._patterns)

    def all(self) -> list[ModelRoute]:
        """All routes: the exact ones, then the patterns in the order in which they are tried."""
        return [*self._exact.values(), *(route for _, route in self._patterns)]

    def find(self, model: str) -> ModelRoute | None:
        """The route of `owner/name`; None: it runs on this machine."""
        found = self._exact.get(model)
        if found is not None or not self._patterns:
            return found
        return next((route for pattern, route in self._patterns if pattern.fullmatch(model)), None)

    def target(self, version: Version, provider: str) -> UpstreamTarget | None:
        """The model and version at a provider; None: no route leads there, and the version does not come from there.

        If another provider, or another name of the model, describes the version, its version id at this provider is not
        known.
        """
        route = self.find(version.model)
        origin, known_at, known_as, version_there = [*version.source_digest.split(" "), "", "", ""][:4]
        if route is None or provider not in route.settings.places:
            is_from_there = (origin, known_at) == (_ORIGIN, provider)
            return (
                UpstreamTarget(model=known_as, version=version_there or None, is_former=True) if is_from_there else None
            )
        model = route.there(version.model)
        is_known = (origin, known_at, known_as) == (_ORIGIN, provider, model)
        return UpstreamTarget(
            model=model,
            version=(version_there or None) if is_known else None,
            passes_links=route.settings.vault == "pass",
        )

    def passes_links(self, model: str) -> bool:
        """Whether outputs of `owner/name` from its services keep their links."""
        route = self.find(model)
        return route is not None and route.settings.vault == "pass"


def origin_digest(provider: str, model: str, version: str | None) -> str:
    """The `source_digest` of a version that an upstream describes: which, and what it is called there."""
    return f"{_ORIGIN} {provider} {model} {version or ''}"


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("[^/]*".join(re.escape(part) for part in pattern.split("*")))
