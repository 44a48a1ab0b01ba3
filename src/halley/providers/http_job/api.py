"""The requests to a service that a job file describes."""

from halley.dispatch.upstreams import Answered
from halley.egress import EgressResponse, OriginClient
from halley.providers.http_job.answers import read_create
from halley.providers.http_job.job import Job
from halley.providers.services.answers import Body
from halley.providers.services.api import ServiceApi
from halley.providers.services.journal import Journal
from halley.providers.services.pace import ServicePace
from halley.providers.services.verdicts import SubmitVerdict


class JobApi(ServiceApi):
    """Sends requests with the token where the file says."""

    def __init__(
        self,
        job: Job,
        origin: OriginClient,
        *,
        token: str | None,
        timeout_seconds: float,
        pace: ServicePace,
        journal: Journal,
        answered: Answered,
    ) -> None:
        self._job = job
        self.limit_bytes = job.limits.answer_bytes
        super().__init__(
            origin,
            token=token,
            timeout_seconds=timeout_seconds,
            pace=pace,
            journal=journal,
            answered=answered,
            is_refusal=self._refuses,
        )

    def _with_token(self, token: str) -> tuple[str, str]:
        auth = self._job.auth
        return auth.header, f"{auth.scheme} {token}" if auth.scheme else token

    def _refuses(self, response: EgressResponse, body: Body | None) -> bool:
        """Whether a 5xx is an answer of the service itself: a rule of the job file fits it."""
        return read_create(self._job, response.status, body).verdict is not SubmitVerdict.UNKNOWN
