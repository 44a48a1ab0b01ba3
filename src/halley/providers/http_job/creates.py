"""Makes the create of a prediction, and sends it once."""

import secrets
from pathlib import Path
from typing import Any, Final

import msgspec
from anyio import to_thread

from halley.assets.media import HEAD_BYTES, media_type
from halley.assets.names import safe_name
from halley.clock import Clock
from halley.dispatch.ports import Pointer, Work
from halley.egress.errors import AddressRefused, FetchFailed, NotSent, TooLarge
from halley.errors import SubmitRefused
from halley.providers.http_job.answers import read_create
from halley.providers.http_job.faults import Unsendable
from halley.providers.http_job.job import Job, JobModel
from halley.providers.http_job.requests import JobRequest
from halley.providers.http_job.templates import JobFile, Values
from halley.providers.services.api import ServiceApi
from halley.providers.services.inputs import UPLOAD_LIMIT_BYTES, SentInputs
from halley.providers.services.lists import age_seconds
from halley.providers.services.verdicts import SubmitAnswer, SubmitVerdict

_BUSY_SECONDS: Final = 5.0  # before the next create, if the service says that it is busy and not for how long


class JobCreate(msgspec.Struct, frozen=True, kw_only=True):
    """A create: the values for templates, and the time before which it cannot have arrived."""

    prediction_id: str
    model: JobModel
    values: Values
    since: float  # in elapsed time: the clock may be set before it is settled


class JobCreates:
    """Makes creates, and sends them."""

    def __init__(self, job: Job, api: ServiceApi, inputs: SentInputs, *, clock: Clock) -> None:
        self._job = job
        self._api = api
        self._inputs = inputs
        self._clock = clock

    async def make(self, work: Work, model: JobModel, *, is_first: bool) -> JobCreate:
        """The create of this work. `is_first`: nothing was sent before.

        Raises:
            SubmitRefused: a file of the input is removed, or too large for the service.
        """
        since = self._clock.elapsed() - (0.0 if is_first else age_seconds(work, self._clock))
        if not is_first:  # it is only compared with runs in a list
            given = msgspec.json.decode(work.input)
        elif self._job.takes_files:
            given = await to_thread.run_sync(_with_files, work)
        else:
            given = msgspec.json.decode(await self._inputs.prepared(work, may_upload=True))
        return JobCreate(
            prediction_id=work.prediction_id,
            model=model,
            values=model.values(work.prediction_id, given),
            since=since,
        )

    async def request(self, create: JobCreate) -> JobRequest:
        """The request.

        Raises:
            SubmitRefused: a value cannot stand where the job file puts it.
        """
        try:
            return await to_thread.run_sync(self._job.create.filled, create.values, secrets.token_hex(16))
        except Unsendable as error:
            raise SubmitRefused(f"This input cannot be sent to the service: {error}.", was_asked=False) from error
        except OSError as error:
            raise SubmitRefused(f"A file of the input cannot be read: {error.strerror}.", was_asked=False) from error

    async def send(self, request: JobRequest) -> SubmitAnswer:
        """Send it once, on a connection of its own, and judge the answer."""
        try:
            answer = await self._api.send(
                request.method, request.path, request.content, headers=request.headers, fresh=True, is_submit=True
            )
        except (NotSent, AddressRefused) as error:
            return SubmitAnswer(verdict=SubmitVerdict.BUSY, text=str(error))
        except (FetchFailed, TooLarge) as error:
            return SubmitAnswer(verdict=SubmitVerdict.UNKNOWN, text=str(error))
        found = read_create(self._job, answer.status, answer.value)
        if found.verdict is SubmitVerdict.BUSY and not self._api.pace.submit_paused_seconds:
            self._api.pace.submits.pause(_BUSY_SECONDS)
        return found


def _with_files(work: Work) -> dict[str, Any]:
    """The input, with each local file as a `JobFile`, which is sent as a part of a form."""
    given = msgspec.json.decode(work.input)
    room = UPLOAD_LIMIT_BYTES  # all of them are in memory while they are sent
    for at in work.paths:
        holder, last = _holder(given, at)
        holder[last], size = _file(Path(holder[last]), room)
        room -= size
    return dict(given)


def _holder(given: Any, at: Pointer) -> tuple[Any, Any]:
    for step in at[:-1]:
        given = given[step]
    return given, at[-1]


def _file(path: Path, room_bytes: int) -> tuple[JobFile, int]:
    """The file and its size in bytes.

    Raises:
        SubmitRefused: it cannot be read, or is larger than the room that is left.
    """
    try:
        with path.open("rb") as opened:
            head = opened.read(HEAD_BYTES)
        size = path.stat().st_size
    except OSError as error:
        raise SubmitRefused(f"A file of the input cannot be read: {error.strerror}.", was_asked=False) from error
    if size > room_bytes:
        text = f"The files of the input up to {path.name} have more than {UPLOAD_LIMIT_BYTES} bytes together."
        raise SubmitRefused(text, was_asked=False)
    return JobFile(path=path, name=safe_name(path.name), content_type=media_type(path.name, head)), size
