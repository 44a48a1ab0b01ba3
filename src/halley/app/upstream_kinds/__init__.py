"""Makes the provider of each kind of service elsewhere; a kind's modules are imported only when it is configured."""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from halley.clock import Clock
from halley.dispatch.upstreams import UpstreamProvider
from halley.settings import CogSettings, HttpJobSettings, ProviderSettings, ReplicateSettings

if TYPE_CHECKING:
    from halley.providers.services.dependencies import UpstreamDependencies


def make_upstream(
    settings: ProviderSettings, token: str | None, dependencies: "UpstreamDependencies", clock: Clock
) -> UpstreamProvider:
    """The provider that these settings describe. No service is asked."""
    if isinstance(settings, ReplicateSettings):
        from halley.app.upstream_kinds.replicate import make_replicate

        return make_replicate(settings, token, dependencies, clock)
    if isinstance(settings, CogSettings):
        from halley.app.upstream_kinds.cog import make_cog

        return make_cog(settings, token, dependencies, clock)
    if isinstance(settings, HttpJobSettings):
        from halley.app.upstream_kinds.http_job import make_http_job

        return make_http_job(settings, token, dependencies, clock)
    raise AssertionError(settings.kind)


def load_kinds(providers: Iterable[ProviderSettings]) -> None:
    """Import what `make_upstream` needs for these, which takes 0.2 s: a running server does it in a thread."""
    for settings in providers:
        if isinstance(settings, ReplicateSettings):
            import halley.app.upstream_kinds.replicate
        elif isinstance(settings, CogSettings):
            import halley.app.upstream_kinds.cog
        elif isinstance(settings, HttpJobSettings):
            import halley.app.upstream_kinds.http_job  # noqa: F401


def read_files(settings: ProviderSettings) -> object:
    """What the files say that the settings name: only if it changes, another provider is made. None for most kinds.

    Raises:
        Unusable: one of them cannot be used.
    """
    if isinstance(settings, HttpJobSettings):
        from halley.providers.http_job.reading import read_job

        return read_job(settings.file)
    return None


def offered_models(settings: ProviderSettings) -> Collection[str] | None:
    """The models of a service whose files name them; None: it may have any.

    Raises:
        Unusable: a file cannot be used.
    """
    if isinstance(settings, HttpJobSettings):
        from halley.providers.http_job.reading import read_job

        return read_job(settings.file).models.keys()
    return None


def models_in(files: object) -> Collection[str]:
    """The models that files name, as `read_files` has read them; empty if they name none."""
    if files is None:
        return ()
    from halley.providers.http_job.job import Job

    return files.models.keys() if isinstance(files, Job) else ()
