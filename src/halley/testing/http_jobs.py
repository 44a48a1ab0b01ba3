"""Opens a provider by a job file, for tests. The file here describes the routes of `halley.testing.replicate`."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from halley.clock import Clock, SystemClock
from halley.dispatch.upstreams import UpstreamTarget
from halley.egress import OriginClient
from halley.providers.http_job.job import Job
from halley.providers.http_job.provider import JobProvider, JobRules
from halley.providers.http_job.reading import job_of
from halley.providers.services.dependencies import UpstreamDependencies
from halley.testing.replicate.opening import FAST, Answers, Held
from halley.testing.replicate.service import TOKEN

PREDICTIONS: Final = """
[create]
path = "/models/test/{value.name}/predictions"
body = { input = "{input}" }
id = "/id"

[poll]
path = "/predictions/{id}"

[answer]
id = "/id"
status = "/status"
output = "/output"
logs = "/logs"
error = "/error"

[status]
running = ["starting", "processing"]
succeeded = ["succeeded"]
failed = ["failed"]
canceled = ["canceled"]

[cancel]
method = "POST"
path = "/predictions/{id}/cancel"

[find]
path = "/predictions"
items = "/results"
id = "/id"
created_at = "/created_at"
next = "/next"
match = [{ at = "/model", equals = "test/{value.name}" }, { at = "/input", equals = "{input}" }]
settle_seconds = 0

[models."test/echo"]
output = "text"
value = { name = "echo" }
input = { text = {} }

[models."test/stream"]
output = "stream"
value = { name = "stream" }
input = { text = {} }

[models."test/fail"]
output = "text"
value = { name = "fail" }
input = { text = {} }

[models."test/wait"]
output = "text"
value = { name = "wait" }
input = { text = {} }
"""


@asynccontextmanager
async def open_job(
    job: Job | str,
    url: str,
    *,
    rules: Mapping[str, Any] | None = None,
    dependencies: Mapping[str, Any] | None = None,
    held: Held | None = None,
    taken: Held | None = None,
    answers: Answers | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[JobProvider]:
    """A provider that polls fast. Each model `owner/name` of the file has the version `name`."""
    found = job_of(job, Path.cwd()) if isinstance(job, str) else job
    targets = {name.partition("/")[2]: name for name in found.models}
    given = JobRules(token=TOKEN, look_seconds=3.0, timeout_seconds=5.0, cancel_grace_seconds=2.0)
    provider = JobProvider(
        msgspec.structs.replace(found, poll_rules=FAST),
        OriginClient(url, silence_seconds=5.0),
        msgspec.structs.replace(given, **(rules or {})),
        UpstreamDependencies(
            find_target=lambda version: UpstreamTarget(model=targets[version]) if version in targets else None,
            held=(held or taken or Held()).among,
            taken=(taken or Held()).among,
            document_of=lambda version: found.models[targets[version]].schema.document,
            answered=answers or Answers(),
            chance=lambda: 0.5,
            **(dependencies or {}),
        ),
        clock=clock or SystemClock(),
    )
    try:
        yield provider
    finally:
        await provider.close()
