"""Runs predictions at a service that a job file describes: a `dispatch.upstreams.UpstreamProvider`."""

from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from anyio import to_thread

from halley.clock import Clock
from halley.dispatch.ports import Emit, Outcome, Work
from halley.dispatch.upstreams import UpstreamModel, UpstreamReport, UpstreamTarget
from halley.egress import EgressResponse, OriginClient
from halley.egress.errors import FetchFailed, TooLarge
from halley.errors import ProviderBusy, SubmitRefused
from halley.providers.http_job.answers import is_id, matches, read_state
from halley.providers.http_job.api import JobApi
from halley.providers.http_job.creates import JobCreates
from halley.providers.http_job.faults import Unsendable
from halley.providers.http_job.follower import JobFollower
from halley.providers.http_job.job import BalanceForm, Job, JobModel
from halley.providers.http_job.lookup import LostJobs
from halley.providers.http_job.outputs import FinishedRun, JobOutputs
from halley.providers.http_job.pace import CreatePace
from halley.providers.http_job.pointers import first_of
from halley.providers.http_job.requests import JobRequest, RequestForm
from halley.providers.http_job.templates import Values
from halley.providers.services.answers import is_large
from halley.providers.services.api import Answer
from halley.providers.services.balance import BalanceReader
from halley.providers.services.dependencies import UpstreamDependencies, check_lease, target_of
from halley.providers.services.inputs import SentInputs
from halley.providers.services.poller import PolledState
from halley.providers.services.provider import ServiceProvider, ServiceRules, not_followed
from halley.providers.services.runs import Run, slots_of
from halley.providers.services.verdicts import SubmitVerdict

_MOST_ASKED: Final = 10  # models with which an id is looked up


class JobRules(ServiceRules, frozen=True, kw_only=True):
    """How one service is used; the settings of `[providers.NAME]`."""

    input_links: bool = False  # it reads files at the public URL of this server


class JobRun(Run):
    """One run at the service, with its model and what is needed at its end."""

    def __init__(self, handle: str, work: Work, model: JobModel, *, is_new: bool) -> None:
        super().__init__(handle, work, is_new=is_new)
        self.model = model
        self.folder = None if work.folder is None else Path(work.folder)

    @property
    def values(self) -> Values:
        """The values of the names in templates of its requests."""
        return _values(self.handle, self.model, self.prediction_id)


def _values(handle: str, model: JobModel, prediction_id: str = "") -> Values:
    return {"id": handle, "value": model.value, "prediction": {"id": prediction_id}}


class JobProvider(ServiceProvider[JobRun]):
    """One service. Its runs outlive this process: they are adopted, and never submitted twice."""

    may_share_run_ids = True  # it may count them from 1

    def __init__(
        self, job: Job, origin: OriginClient, rules: JobRules, dependencies: UpstreamDependencies, *, clock: Clock
    ) -> None:
        super().__init__(origin, rules, dependencies, poll_rules=job.poll_rules, clock=clock)
        self.wants_local_files: Final = job.takes_files
        self._job = job
        self._create_pace = CreatePace(clock, job.limits.creates_per_minute)
        self._api: JobApi = JobApi(
            job,
            origin,
            token=rules.token,
            timeout_seconds=rules.timeout_seconds,
            pace=self._pace,
            journal=self._journal,
            answered=dependencies.answered,
        )
        inputs = SentInputs(
            None,
            own=dependencies.own_inputs,
            document_of=dependencies.document_of,
            data_url_bytes=rules.data_url_bytes,
            public_url=lambda: dependencies.public_url if rules.input_links else None,
        )
        self._creates = JobCreates(job, self._api, inputs, clock=clock)
        self._lost = LostJobs(
            job.find,
            self._api,
            clock=clock,
            held=dependencies.held,
            taken=dependencies.taken,
            followed=self._runs,
            look_seconds=rules.look_seconds,
        )
        self._outputs = JobOutputs(job, self._api, origin, clock)
        self._balance = None
        if job.balance is not None:
            note = self._journal.note
            self._balance = BalanceReader(
                partial(self._ask_balance, job.balance), clock, unit=job.balance.unit, note=note
            )

    async def submit(self, work: Work) -> str:
        model = self._model(work)  # looked up once: its route may be removed meanwhile
        create = await self._creates.make(work, model, is_first=True)
        request = await self._creates.request(create)
        self._pace.check_submit()
        self._create_pace.take()
        check_lease(work)
        place = self.place
        with self._lost.sending(create):
            answer = await self._creates.send(request)
        if answer.verdict is SubmitVerdict.SUBMITTED:
            await self._check_new(answer.handle)
            handle = self._add(JobRun(answer.handle, work, model, is_new=True))
            self._notify_later(work.version, self._submit_paused_seconds)  # then it may be sent more
            return handle
        self._check_begun(answer, work.version)
        handle = await self._settled(self._lost.settle(create), answer, place)
        return self._add(JobRun(handle, work, model, is_new=False))

    async def adopt(self, work: Work, handle: str | None) -> str | None:
        try:
            model = self._model(work, may_be_former=True)
        except SubmitRefused as error:  # it may have a run, which can be looked up when the file has the model again
            raise ProviderBusy(str(error)) from error
        if handle is None and (mine := self._submitted_before(work)) is not None:
            handle = mine
        elif handle is None:
            create = await self._creates.make(work, model, is_first=False)
            handle = await self._found(self._lost.settle(create))
        elif not is_id(handle) or not await self._is_known(handle, _values(handle, model, work.prediction_id)):
            handle = None
        return None if handle is None else self._add(JobRun(handle, work, model, is_new=False))

    async def follow(self, handle: str, emit: Emit) -> Outcome:
        run = self._runs.get(handle)
        if run is None:
            return not_followed(handle)
        following = JobFollower(
            handle,
            FinishedRun(
                model=run.model,
                output=None,
                values=run.values,
                folder=run.folder,
                passes=self._dependencies.passes(run.version),
            ),
            emit,
            self._outputs,
            poller=self._poller,
            journal=self._journal,
            has_logs=bool(self._job.answer.logs),
            is_canceled=lambda: run.is_canceled,
        )
        with self._following(run) as watch:
            return await following.until_end(watch)

    async def find_model(self, target: UpstreamTarget) -> UpstreamModel | None:
        model = self._job.models.get(target.model)
        if model is None or target.version is not None:
            return None
        document = model.schema.document
        return UpstreamModel(model=model.name, version=None, openapi_schema=document, description=model.description)

    async def has_run(self, handle: str) -> bool:
        for model in list(self._job.models.values())[
            :_MOST_ASKED
        ]:  # the path of the request may contain a constant of the model
            if is_id(handle) and await self._is_known(handle, _values(handle, model), is_patient=False):
                return True
        return False

    async def find_begun(self, work: Work, within_seconds: float, named: str | None = None) -> str | None:
        del named  # it has no webhooks
        create = await self._creates.make(work, self._model(work, may_be_former=True), is_first=False)
        return await self._lost.find_begun(create, within_seconds)

    def report(self) -> UpstreamReport:
        return UpstreamReport(
            in_flight=self._in_flight,
            slots=self.limit,
            unknown=self._journal.unknown,
            paused_seconds=self._submit_paused_seconds,
            bucket=self._pace.submits.bucket(),
            balance=None if self._balance is None else self._balance.known(),
            faults=self._journal.faults,
        )

    async def close(self) -> None:
        if self._balance is not None:
            await self._balance.close()
        await super().close()

    @property
    def _submit_paused_seconds(self) -> float:
        return max(self._pace.submit_paused_seconds, self._create_pace.paused_seconds)

    def _room(self) -> int | None:
        rooms = [room for room in (self._pace.submits.room(), self._create_pace.room()) if room is not None]
        return min(rooms) - (self.held - slots_of(self._runs)) if rooms else None

    def _model(self, work: Work, *, may_be_former: bool = False) -> JobModel:
        target = target_of(self._dependencies.find_target, work.version, may_be_former=may_be_former)
        model = self._job.models.get(target.model)
        if model is None:
            text = f"The job file of the service has no model {target.model}."
            raise SubmitRefused(text, is_of_place=True, was_asked=False)
        return model

    def _fault_of(self, version: str) -> str | None:
        fault = super()._fault_of(version)
        target = self._dependencies.find_target(version)
        if fault is None and target is not None and target.model not in self._job.models:
            return f"The job file of the service has no model {target.model}."
        return fault

    async def _is_known(self, handle: str, values: Values, *, is_patient: bool = True) -> bool:
        """Whether the service has this run. Asks for `gone_seconds`, as for a followed run: a proxy in front of the
        service may answer 404, too.

        Raises:
            ProviderBusy: it cannot be asked now.
        """
        rules = self._poll_rules
        end, pause = self._clock.monotonic() + rules.gone_seconds, rules.first_seconds
        while True:
            self._pace.check()
            result = await self._poll_state(handle, values)
            if result.run is None and not result.is_gone and not result.unreadable:
                raise ProviderBusy(self._journal.for_callers(result.fault))
            if not result.is_gone or not is_patient or self._clock.monotonic() >= end:
                return not result.is_gone
            await self._clock.sleep(pause := min(pause * 2, rules.longest_seconds))

    async def _poll(self, handle: str) -> PolledState:
        run = self._runs.get(handle)
        return (
            PolledState(fault="It is not followed any more.")
            if run is None
            else await self._poll_state(handle, run.values)
        )

    async def _poll_state(self, handle: str, values: Values) -> PolledState:
        try:
            answer = await self._send(self._job.poll, values)
        except TooLarge as error:
            return PolledState(unreadable=f"The state of the run cannot be read at its service: {error}")
        except FetchFailed as error:
            return PolledState(fault=str(error))
        gone = self._job.gone
        if answer.status in (404, 410) or (gone is not None and matches(gone, answer.value)):
            return PolledState(is_gone=True)
        if not 200 <= answer.status < 300:  # some answer 202 until the end
            if answer.status < 400:  # others are noted already
                self._journal.note(f"It shows no state of {handle}. {answer.fault}")
            return PolledState(fault=answer.fault)
        large = is_large(answer.response)
        if large:
            snapshot = await to_thread.run_sync(read_state, self._job.answer, answer.value, handle)
        else:
            snapshot = read_state(self._job.answer, answer.value, handle)
        if isinstance(snapshot, str):
            self._journal.note(snapshot)
            return PolledState(fault=snapshot)
        return PolledState(run=msgspec.structs.replace(snapshot, is_large=large))

    async def _ask_cancel(self, handle: str) -> Answer:
        run = self._runs.get(handle)
        if self._job.cancel is None or run is None:
            return _NO_CANCEL
        return await self._send(self._job.cancel, run.values)

    async def _ask_balance(self, form: BalanceForm) -> object:
        answer = await self._send(form.request, {})
        if not 200 <= answer.status < 300:
            raise FetchFailed(answer.fault)
        return first_of(form.at, answer.value)

    async def _send(self, form: RequestForm, values: Values) -> Answer:
        """Send a request about one run.

        Raises:
            FetchFailed, TooLarge: there was no complete answer.
        """
        try:
            request: JobRequest = form.filled(values, "")
        except Unsendable as error:
            raise FetchFailed(str(error)) from error
        return await self._api.send(request.method, request.path, request.content, headers=request.headers)


_NO_CANCEL: Final = Answer(response=EgressResponse(status=501, headers={}, body=b""), body=None, fault="")
"""The answer that stands for "cannot cancel": without [cancel] in the job file, no request is sent."""
