"""The services elsewhere: made from the settings, replaced when these change, closed at the end."""

import asyncio
import logging
import random  # noqa: TID251 - it makes the one that it hands on
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from halley.app.foundation import Foundation
from halley.app.upstream_reachability import check_reach, link_base, public_url, sends_webhooks
from halley.assets.own_inputs import OwnInputs
from halley.dispatch.breaker import Breaker, BreakerState
from halley.dispatch.imported_models import ImportedModels, read_schema
from halley.dispatch.late_runs import LatePlace
from halley.dispatch.route_table import ModelRoute, ModelRoutes
from halley.dispatch.routed_providers import RoutedProviders, UpstreamPlace
from halley.dispatch.submit_quota import CountedSubmits, RouteLimits
from halley.dispatch.submit_record import SubmitRecord
from halley.dispatch.upstream_hooks import HookPlace, UpstreamHooks
from halley.dispatch.upstreams import RunDescriber, RunFinder, UpstreamProvider, UpstreamTarget
from halley.egress import Egress, origin_of
from halley.errors import HalleyError, ProviderBusy, Unusable
from halley.providers.local import LocalProvider
from halley.settings import ProviderSettings, RouteSettings, Settings

_log: Final = logging.getLogger(__name__)


class _Made(msgspec.Struct, frozen=True, kw_only=True):
    """A provider, and what it was made from: it is replaced only if one of these changes."""

    settings: ProviderSettings
    files: object  # what the files say that the settings name
    token: str | None
    place: UpstreamPlace


class Upstreams:
    """Holds the services elsewhere. `routed` chooses among them, `imported` knows their models, and `limits` refuses
    creates if every service is at its limit of submits.
    """

    def __init__(
        self,
        base: Foundation,
        environ: Mapping[str, str],
        local: LocalProvider,
        *,
        own_inputs: OwnInputs | None = None,
        egress: Egress | None = None,
    ) -> None:
        """`environ` is the whole environment of this process, with secrets. `own_inputs` reads this server's own files
        in inputs, and `egress` what services keep at other hosts than their own.
        """
        self._egress = egress
        self._own_inputs = own_inputs
        self._base = base
        self._environ = environ
        self._chance = random.Random().random  # noqa: S311 - spreads polls, not a secret
        self.hooks = UpstreamHooks(self._hook_url)
        self.table = ModelRoutes({})
        self.routed = RoutedProviders(base.catalog, self.table, local=local)
        self.limits = RouteLimits(self.routed.limited, base.data.store)
        self.imported = ImportedModels(base.catalog, base.data.store, self.table, base.clock)
        self._made: dict[str, _Made] = {}
        self._gone: list[tuple[str, _Made]] = []  # replaced, but their earlier runs may still be followed
        self._closing: set[asyncio.Task[None]] = set()

    def apply(self, settings: Settings) -> None:
        """Use these providers and routes from now on. No service is asked.

        Raises:
            Unusable: a token or a schema is missing; nothing was changed.
        """
        check_upstreams(settings, self._environ)
        tokens = {name: read_token(name, one, self._environ) for name, one in settings.providers.items()}
        made = {name: self._make(name, one, tokens[name]) for name, one in settings.providers.items()}
        for name, before in self._made.items():
            if name not in made or made[name].place is not before.place:
                self._gone.append((name, before))
                self.routed.former[name] = before.place.upstream
        self._close_idle()
        for name, before in self._gone:  # with the new token, but only at the address for which it is
            if name in made and made[name].settings.addresses() == before.settings.addresses():
                self._use_token(before.place.upstream, before.settings, tokens[name])
        self._made = made
        self.routed.places = {name: one.place for name, one in made.items()}
        self.routed.forget_broken()
        self.imported.sources = {name: one.place.upstream for name, one in made.items()}
        self.table.replace(settings.routes)
        self.imported.forget_misses()
        if settings.routes:
            self._base.catalog.finder = self.imported  # it stays: it knows which versions have no route any more

    async def list_offered(self) -> None:
        """Put the models that job files name into the lists of models, before their first run.
        No service is asked.
        """
        for name in sorted(self._offered()) if self._made else ():
            if not self._base.catalog.knows(name):
                try:
                    await self.imported.find(name)
                except HalleyError as error:
                    _log.warning("%s is not in the lists of models yet: %s", name, error)

    def _offered(self) -> Iterator[str]:
        """The models that run only at services whose files name their models."""
        from halley.app.upstream_kinds import models_in

        offers = {name: models for name, one in self._made.items() if (models := models_in(one.files))}
        exact = {route.pattern for route in self.table.all() if "*" not in route.pattern}
        for name in exact.union(*offers.values()):
            route = self.table.find(name)
            places = [] if route is None else [offers.get(place, ()) for place in route.upstreams]
            if route is not None and places and all(route.there(name) in models for models in places):
                yield name

    def configured(self) -> Mapping[str, ProviderSettings]:
        """The settings of each service."""
        return {name: one.settings for name, one in self._made.items()}

    # predictions.unknown_outcomes.RunLookup

    def names(self) -> Collection[str]:
        """The services by name."""
        return self._made.keys()

    async def has_run(self, provider: str, upstream_id: str) -> bool:
        """Whether a service has a run; True if its kind cannot tell."""
        upstream = self._made[provider].place.upstream
        return not isinstance(upstream, RunFinder) or await upstream.has_run(upstream_id)

    async def other_model(self, provider: str, upstream_id: str, version: str) -> str | None:
        """The model of a run, if it is another one than the version's; None if it can be the same.

        Raises:
            ProviderBusy: it cannot be asked now, or was removed while it was asked for the run.
        """
        made = self._made.get(provider)
        if made is None:
            raise ProviderBusy(f"The provider {provider} was removed from the settings meanwhile.")
        upstream = made.place.upstream
        return await upstream.other_model(upstream_id, version) if isinstance(upstream, RunDescriber) else None

    def late_places(self) -> Iterator[LatePlace]:
        """The services that are asked for runs whose submit had no clear answer."""
        for name, made in self._made.items():
            seconds, upstream = made.settings.late_seconds(), made.place.upstream
            if seconds > 0 and isinstance(upstream, RunFinder):
                yield LatePlace(name, upstream, seconds)

    async def close(self) -> None:
        """End what runs here for them. Their runs continue."""
        await self.imported.close()
        await asyncio.gather(*self._closing, return_exceptions=True)
        for one in (*(before for _, before in self._gone), *self._made.values()):
            await one.place.upstream.close()

    def _close_idle(self) -> None:
        """Close replaced providers that follow nothing: otherwise each change of the settings would leave connections
        open.
        """
        newest = dict(self._gone)
        kept = []
        for name, before in self._gone:
            upstream = before.place.upstream
            if newest[name] is before or upstream.report().in_flight:
                kept.append((name, before))
                continue
            task = asyncio.get_running_loop().create_task(upstream.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        self._gone = kept

    def _make(self, name: str, settings: ProviderSettings, token: str | None) -> _Made:
        # most servers have no service elsewhere, and need none of this
        from halley.app.upstream_kinds import make_upstream, read_files
        from halley.providers.services.dependencies import UpstreamDependencies

        before, files = self._made.get(name), read_files(settings)
        if before is not None and before.settings == settings and before.files == files:
            if before.token != token:
                self._use_token(before.place.upstream, settings, token)
                _log.info("provider %s: its token was replaced", name)
            return _Made(settings=settings, files=files, token=token, place=before.place)
        clock = self._base.clock
        breaker = Breaker(clock, on_change=partial(_log_change, name))
        quota = CountedSubmits(clock, settings.max_submits_per_day)
        record = SubmitRecord(clock, breaker, settings.retry_share)
        dependencies = UpstreamDependencies(
            name=name,
            find_target=partial(self._target, name),
            held=self._base.data.store.held_handles,
            taken=partial(self._base.data.store.held_handles, provider=name),
            document_of=self._document,
            answered=lambda is_answer: breaker.note(answered=is_answer),
            chance=self._chance,
            own_inputs=self._own_inputs,
            hooks=self.hooks.of(name) if sends_webhooks(self._base.settings, settings) else None,
            public_url=link_base(self._base.settings, settings),
            streams=self._egress,
        )
        upstream = make_upstream(settings, token, dependencies, clock)
        upstream.place = self._place(settings, token)
        upstream.listen(
            on_capacity=partial(self.routed.on_upstream_capacity, name),
            on_broken=partial(self.routed.on_upstream_broken, name),
        )
        places = ", ".join(url for _, url in settings.addresses())
        word = settings.dialect() or settings.kind
        _log.info("provider %s: %s at %s, with%s a token", name, word, places, "" if token else "out")
        return _Made(settings=settings, files=files, token=token, place=UpstreamPlace(upstream, breaker, quota, record))

    def _use_token(self, upstream: UpstreamProvider, settings: ProviderSettings, token: str | None) -> None:
        upstream.use_token(token)
        upstream.place = self._place(settings, token)

    def _place(self, settings: ProviderSettings, token: str | None) -> str:
        addresses = " ".join(url for _, url in settings.addresses())
        both = f"{addresses} {token or ''}"
        return f"{self._base.data.links.place(addresses)}.{self._base.data.links.place(both)}"

    def _hook_url(self, place: HookPlace) -> str:
        return f"{public_url(self._base.settings)}{self._base.data.links.hook_path(*place)}"

    def _target(self, provider: str, version: str) -> UpstreamTarget | None:
        runnable = self._base.catalog.by_id(version)
        return None if runnable is None else self.table.target(runnable.version, provider)

    def _document(self, version: str) -> bytes:
        """b"" where no place has a schema: then files are recognized by their form."""
        runnable = self._base.catalog.by_id(version)
        return runnable.version.openapi_schema if runnable is not None and runnable.is_checked else b""


def _log_change(name: str, state: BreakerState, pause_seconds: float) -> None:
    if state == "open":
        _log.warning("provider %s does not answer: it gets no runs for %.0f s", name, pause_seconds)
    elif state == "half_open":
        _log.info("provider %s: one run tries whether it answers again", name)
    else:
        _log.info("provider %s answers again", name)


def read_token(name: str, settings: ProviderSettings, environ: Mapping[str, str]) -> str | None:
    """The token of a provider, if it has one.

    Raises:
        Unusable: the variable or the file is missing, empty or not readable. The message has nothing of the token.
    """
    if settings.token_env is not None:
        token = environ.get(settings.token_env, "").strip()
        if not token:
            raise Unusable(f"providers.{name}.token_env: the environment variable {settings.token_env} is not set.")
    elif settings.token_file is not None:
        token = _read_text(settings.token_file, f"providers.{name}.token_file").strip()
        if not token:
            raise Unusable(f"providers.{name}.token_file: {settings.token_file} is empty.")
    else:
        return None
    if not token.isascii() or not token.isprintable():
        raise Unusable(f"providers.{name}: its token has characters that no HTTP header can have.")
    return token


def _read_text(path: Path, place: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # also a NUL in the path
        raise Unusable(f"{place}: {path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error


def check_upstreams(settings: Settings, environ: Mapping[str, str]) -> None:
    """Check what the settings alone cannot tell: tokens, addresses and schema files. No service is asked.

    Raises:
        Unusable: one of them is missing or cannot be used.
    """
    check_reach(settings)
    for name, provider in settings.providers.items():
        read_token(name, provider, environ)
        _check_files(name, provider)
        for member, url in provider.addresses():
            try:
                origin_of(url)
            except HalleyError as error:
                raise Unusable(f"providers.{name}.{member}: {error}") from error
    for pattern, route in settings.routes.items():
        _check_models(pattern, route, settings.providers)
        if route.schema is not None:
            try:
                read_schema(route.schema)
            except Unusable as error:
                raise Unusable(f"routes.{pattern}.schema: {error}") from error


def _check_files(name: str, provider: ProviderSettings) -> None:
    from halley.app.upstream_kinds import read_files

    try:
        read_files(provider)
    except Unusable as error:
        raise Unusable(f"providers.{name}.file: {error}") from error


def _check_models(pattern: str, route: RouteSettings, providers: Mapping[str, ProviderSettings]) -> None:
    """The services of the route have such a model, as far as their files say which they have."""
    from halley.app.upstream_kinds import offered_models

    one = ModelRoute(pattern, route)
    for name in one.upstreams:
        offered = offered_models(providers[name])
        if offered is None or ("*" in pattern and route.model is not None):
            continue
        fits = (
            any(map(ModelRoutes({pattern: route}).find, offered)) if "*" in pattern else one.there(pattern) in offered
        )
        if not fits:
            known = ", ".join(sorted(offered))
            raise Unusable(
                f"routes.{pattern}: {name} has no model {one.there(pattern)}; the models of its file are: {known}."
            )
