"""Settings of the models that services elsewhere run, and the checks of these and of the services."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from halley.settings.kinds import Positive, Seconds, SettingsError, SettingsTable
from halley.settings.process import is_secret
from halley.settings.providers import ProviderSettings

LOCAL: Final = "local"  # the name of this machine among the providers of a route
PROVIDER_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_PART: Final = r"[\w.\-*]{1,100}"
_PATTERN: Final = re.compile(rf"{_PART}/{_PART}", re.ASCII)
_TARGET: Final = re.compile(r"(?:[\w.\-]|\{name\}|\{owner\}){1,100}/(?:[\w.\-]|\{name\}|\{owner\}){1,100}", re.ASCII)
_URL: Final = re.compile(r"https?://[^\s/?#@\\]+(?:/[A-Za-z0-9._~-]+)*/?", re.IGNORECASE)


class RouteSettings(SettingsTable, frozen=True, kw_only=True):
    """Where a model runs, or all models of a pattern: `[routes."owner/name"]`, `[routes."owner/*"]`."""

    providers: tuple[str, ...] = ()  # in order; `local` is this machine
    weights: dict[str, Positive] | None = None  # instead of `providers`: each gets this share of the runs
    model: str | None = None  # its name there, with {owner} and {name}; None: the same
    schema: Path | None = None  # an OpenAPI document, for upstreams that give none
    spill_over_queue: Positive | None = None  # `local` is skipped while this many predictions of the model wait
    spill_over_unloaded: bool = False  # `local` is skipped while the model is not loaded
    run_timeout_seconds: Seconds | None = None  # None: the general setting of `runs`
    vault: Literal["keep", "pass"] = "keep"  # copies of outputs here, or only the links of the service

    @property
    def places(self) -> tuple[str, ...]:
        """Its providers, in order or by weight."""
        return self.providers or tuple(self.weights or ())


def check_upstreams(
    providers: Mapping[str, ProviderSettings], routes: Mapping[str, RouteSettings], origin_of: Mapping[str, str]
) -> None:
    """Check names, addresses, and that routes name providers that exist. `origin_of` maps names to their origins.

    Raises:
        SettingsError: one of them is wrong.
    """
    for name, provider in providers.items():
        _check_provider(name, provider, origin_of)
    for pattern, route in routes.items():
        _check_route(pattern, route, providers, origin_of)


def _check_provider(name: str, provider: ProviderSettings, origin_of: Mapping[str, str]) -> None:
    for member, url in provider.addresses():
        if not _URL.fullmatch(url):
            raise SettingsError(
                # the value is not shown: it may hold a password
                f"providers.{name}.{member} ({origin_of[f'providers.{name}.{member}']}) is not the root of an API: a"
                " scheme, a host and a plain path, as in https://api.replicate.com/v1."
            )
    for member, text in provider.faults():
        place = f"providers.{name}.{member}"
        raise SettingsError(f"{place} ({origin_of.get(place, 'default')}) {text}")
    if provider.token_env is not None and provider.token_file is not None:
        raise SettingsError(
            f"providers.{name}.token_env ({origin_of[f'providers.{name}.token_env']}) and token_file exclude each"
            " other."
        )
    if provider.token_env is not None and not is_secret(provider.token_env, ""):
        raise SettingsError(
            f"providers.{name}.token_env ({origin_of[f'providers.{name}.token_env']}): models can see a variable"
            f" with the name {provider.token_env}; use a name with TOKEN or KEY, such as {name.upper()}_TOKEN."
        )


def _check_route(
    pattern: str, route: RouteSettings, providers: Mapping[str, ProviderSettings], origin_of: Mapping[str, str]
) -> None:
    _check_places(pattern, route, providers, origin_of)
    if route.model is not None and not _TARGET.fullmatch(route.model):
        place = f"routes.{pattern}.model"
        raise SettingsError(
            f"{place} ({origin_of[place]}): {route.model!r} is not a model: write owner/name, where {{owner}} and"
            " {name} stand for those of the request."
        )
    _check_spills(pattern, route, origin_of)


def _check_places(
    pattern: str, route: RouteSettings, providers: Mapping[str, ProviderSettings], origin_of: Mapping[str, str]
) -> None:
    given = [key for key in ("providers", "weights") if f"routes.{pattern}.{key}" in origin_of]
    if not given:
        origin = next(origin_of[name] for name in origin_of if name.startswith(f"routes.{pattern}."))
        raise SettingsError(f"[routes.{pattern}] ({origin}) has no providers; add providers = [...].")
    place = f"routes.{pattern}.{given[0]}"
    if len(given) == 2:
        raise SettingsError(
            f"{place} ({origin_of[place]}) and weights exclude each other: providers are used in order, or by weight."
        )
    if not route.places:
        raise SettingsError(f"{place} ({origin_of[place]}) is empty; without a route a model runs on this machine.")
    if len(set(route.places)) < len(route.places):
        raise SettingsError(f"{place} ({origin_of[place]}) names a provider twice.")
    for name in route.places:
        if name != LOCAL and name not in providers:
            raise SettingsError(f"{place} ({origin_of[place]}) names {name!r}. {_known(name, providers)}")


def _check_spills(pattern: str, route: RouteSettings, origin_of: Mapping[str, str]) -> None:
    spills = [key for key in ("spill_over_queue", "spill_over_unloaded") if f"routes.{pattern}.{key}" in origin_of]
    if not spills:
        return
    place = f"routes.{pattern}.{spills[0]}"
    if LOCAL not in route.places or len(route.places) == 1:
        raise SettingsError(f"{place} ({origin_of[place]}) needs a route with `local` and another provider.")
    if route.weights and "spill_over_queue" in spills:
        raise SettingsError(
            f"routes.{pattern}.spill_over_queue ({origin_of[f'routes.{pattern}.spill_over_queue']}) has no use with"
            " weights: a provider without a free slot is skipped anyway."
        )


def _known(name: str, providers: Mapping[str, ProviderSettings]) -> str:
    from difflib import get_close_matches  # needed for errors only

    known = [*providers, LOCAL]
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"Did you mean {close[0]!r}?" if close else f"The providers are: {', '.join(sorted(known))}."


def is_provider_name(name: str) -> bool:
    """Whether a provider may have this name."""
    return name != LOCAL and PROVIDER_NAME.fullmatch(name) is not None


def is_pattern(text: str) -> bool:
    """Whether a route may have this name: `owner/name`, where `*` stands for any characters but a slash."""
    return _PATTERN.fullmatch(text) is not None
