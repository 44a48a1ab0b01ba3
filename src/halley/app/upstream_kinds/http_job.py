"""Makes the provider for a service that a job file describes."""

from halley.clock import Clock
from halley.egress import OriginClient
from halley.providers.http_job.provider import JobProvider, JobRules
from halley.providers.http_job.reading import read_job
from halley.providers.services.dependencies import UpstreamDependencies
from halley.settings import HttpJobSettings


def make_http_job(
    settings: HttpJobSettings, token: str | None, dependencies: UpstreamDependencies, clock: Clock
) -> JobProvider:
    """See `make_upstream`.

    Raises:
        Unusable: the job file cannot be used.
    """
    return JobProvider(
        read_job(settings.file),
        OriginClient(settings.url, silence_seconds=settings.timeout_seconds),
        JobRules(
            token=token,
            max_in_flight=settings.max_in_flight,
            timeout_seconds=settings.timeout_seconds,
            look_seconds=settings.look_seconds,
            data_url_bytes=settings.data_url_bytes,
            input_links=settings.input_links,
        ),
        dependencies,
        clock=clock,
    )
