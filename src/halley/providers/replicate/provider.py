"""Runs predictions at a service that speaks the Replicate HTTP API: a `dispatch.upstreams.UpstreamProvider`."""

from functools import partial
from typing import Final

import msgspec

from halley.clock import Clock
from halley.dispatch.ports import Emit, Outcome, Work
from halley.dispatch.upstream_hooks import Hook
from halley.dispatch.upstreams import UpstreamModel, UpstreamReport, UpstreamTarget
from halley.egress import OriginClient
from halley.egress.errors import FetchFailed, TooLarge
from halley.errors import OutcomeUnknown, ProviderBusy, SubmitRefused
from halley.providers.replicate.api import UpstreamApi, run_path
from halley.providers.replicate.creates import Create, Creates
from halley.providers.replicate.lookup import LostCreates
from halley.providers.replicate.models import UpstreamModels
from halley.providers.replicate.profiles import Profile
from halley.providers.replicate.stream_hints import StreamHints
from halley.providers.replicate.uploads import upload
from halley.providers.services.answers import is_large
from halley.providers.services.api import Answer
from halley.providers.services.dependencies import UpstreamDependencies, check_lease, target_of
from halley.providers.services.follower import RunFollower
from halley.providers.services.inputs import SentInputs
from halley.providers.services.outputs import LinkRules, OutputReader
from halley.providers.services.poller import PolledState, Watch
from halley.providers.services.provider import ServiceProvider, ServiceRules, not_followed
from halley.providers.services.run_snapshot import read_run
from halley.providers.services.runs import Run, slots_of
from halley.providers.services.service_hooks import ServiceHooks
from halley.providers.services.stream_sources import StreamSources
from halley.providers.services.verdicts import SubmitVerdict, is_handle


class UpstreamRules(ServiceRules, frozen=True, kw_only=True):
    """How one service is used; the settings of `[providers.NAME]`."""

    profile: Profile
    input_links: bool | None = None  # it reads files at our public URL; None: when a webhook of it has arrived


class ReplicateProvider(ServiceProvider[Run]):
    """One service. Its runs outlive this process: they are adopted, and never submitted twice."""

    wants_local_files: Final = False

    def __init__(
        self, origin: OriginClient, rules: UpstreamRules, dependencies: UpstreamDependencies, *, clock: Clock
    ) -> None:
        profile = rules.profile
        super().__init__(origin, rules, dependencies, poll_rules=profile.poll, clock=clock)
        self._rules = rules
        self._api: UpstreamApi = UpstreamApi(
            origin,
            token=rules.token,
            profile=profile,
            timeout_seconds=rules.timeout_seconds,
            pace=self._pace,
            journal=self._journal,
            answered=dependencies.answered,
        )
        self._streams = StreamSources(origin, hosts=profile.stream_hosts, client=dependencies.streams)
        self._hooks = ServiceHooks(dependencies.hooks if profile.has_webhooks else None, self._journal)
        self._models = UpstreamModels(self._api, clock=clock)
        inputs = SentInputs(
            partial(upload, self._api) if profile.has_files else None,
            own=dependencies.own_inputs,
            document_of=dependencies.document_of,
            data_url_bytes=rules.data_url_bytes,
            public_url=self._public_url,
        )
        self._creates = Creates(self._api, self._models, inputs, clock=clock, hooks=self._hooks)
        self._lost = LostCreates(
            self._api,
            self._creates,
            clock=clock,
            held=dependencies.held,
            taken=dependencies.taken,
            followed=self._runs,
            look_seconds=rules.look_seconds,
        )
        host, port = origin.host
        own = host if port in (80, 443) else f"{host}:{port}"
        self._link_rules = LinkRules(host=own, origin=origin.host, delivery_hosts=profile.delivery_hosts)

    async def submit(self, work: Work) -> str:
        target, hook = target_of(self._dependencies.find_target, work.version), self._hooks.open(work)
        create = await self._creates.make(work, target, is_first=True, webhook=None if hook is None else hook.url)
        check_lease(work)
        self._pace.check_submit()
        place = self.place
        with self._lost.sending(create):
            answer = await self._creates.send(create)
        if answer.verdict is SubmitVerdict.SUBMITTED:
            await self._check_new(answer.handle)
            handle = self._add(Run(answer.handle, work, is_new=True, first=answer.run, hook=hook))
            self._notify_later(work.version, self._submit_paused_seconds)  # then it may be sent more
            return handle
        self._check_begun(answer, work.version)
        search = self._lost.settle(create, hook, may_repeat=lambda: work.may_send() and self.place == place)
        handle = await self._settled(search, answer, place)
        return self._add(Run(handle, work, is_new=False, hook=hook))

    def _room(self) -> int | None:
        room = self._pace.submits.room()
        return None if room is None else room - (self.held - slots_of(self._runs))

    async def adopt(self, work: Work, handle: str | None) -> str | None:
        hook = self._hooks.open(work)
        if handle is None and (mine := self._submitted_before(work)) is not None:
            handle = mine
        elif handle is None:
            create = await self._create_to_compare(work, hook)
            handle = await self._found(self._lost.settle(create, hook, may_repeat=work.may_send))
        elif not is_handle(handle) or not await self._is_known(handle):
            handle = None
        return None if handle is None else self._add(Run(handle, work, is_new=False, hook=hook))

    async def _create_to_compare(self, work: Work, hook: Hook | None) -> Create:
        """Raises:
        ProviderBusy: its route is removed, or the service cannot be asked now; it may have a run there.
        OutcomeUnknown: the create cannot be made again.
        """
        try:
            target = target_of(
                self._dependencies.find_target, work.version, may_be_former=self._rules.profile.key_seconds == 0
            )
        except SubmitRefused as error:
            raise ProviderBusy(str(error)) from error
        # with a key it may be sent again, which needs a route; else it is only compared
        may_send, webhook = self._rules.profile.key_seconds > 0, None if hook is None else hook.url
        try:
            return await self._creates.make(work, target, is_first=False, may_upload=may_send, webhook=webhook)
        except SubmitRefused as error:
            raise OutcomeUnknown(f"It cannot be compared with the runs of the service: {error}") from error

    async def follow(self, handle: str, emit: Emit) -> Outcome:
        run = self._runs.get(handle)
        if run is None:
            return not_followed(handle)
        relies_on_hints = partial(self._hooks.are_enough, run.hook, is_new=run.is_new)
        with (
            self._following(run, relies_on_hints=relies_on_hints) as watch,
            self._hooks.heard(run.hook, partial(self._poller.hint, watch)),
        ):
            return await self._followed(run, emit, watch)

    async def find_model(self, target: UpstreamTarget) -> UpstreamModel | None:
        return await self._models.find_model(target)

    async def has_run(self, handle: str) -> bool:
        return is_handle(handle) and await self._api.get(run_path(handle)) is not None

    async def other_model(self, handle: str, version: str) -> str | None:
        target = self._dependencies.find_target(version)
        row = await self._api.get(run_path(handle)) if target is not None and is_handle(handle) else None
        model = None if row is None else row.get("model")
        if target is None or not isinstance(model, str) or model.lower() in ("", target.model.lower()):
            return None
        return self._journal.for_callers(model)

    async def find_begun(self, work: Work, within_seconds: float, named: str | None = None) -> str | None:
        target = target_of(self._dependencies.find_target, work.version, may_be_former=True)
        create = await self._creates.make(work, target, is_first=False, may_upload=False)
        if named is not None:
            return await self._lost.find_named(create, named)
        return await self._lost.find_begun(create, within_seconds)

    def report(self) -> UpstreamReport:
        return UpstreamReport(
            in_flight=self._in_flight,
            slots=self.limit,
            unknown=self._journal.unknown,
            paused_seconds=self._submit_paused_seconds,
            bucket=self._pace.submits.bucket(),
            webhooks=self._hooks.state,
            faults=self._journal.faults,
        )

    async def _followed(self, run: Run, emit: Emit, watch: Watch) -> Outcome:
        rules = msgspec.structs.replace(self._link_rules, passes=self._dependencies.passes(run.version))
        reader = OutputReader(self._dependencies.document_of(run.version), rules)
        async with StreamHints(self._streams.open, partial(self._poller.hint, watch)) as hints:
            following = RunFollower(
                run.handle,
                emit,
                reader,
                poller=self._poller,
                journal=self._journal,
                on_stream=hints.listen if self._rules.profile.has_streams else _ignore,
            )
            return await following.until_end(watch, run.first)

    def _public_url(self) -> str | None:
        """The address of this server, if the service can read files there."""
        wanted = self._rules.input_links
        can_reach = self._hooks.have_arrived if wanted is None else wanted
        return self._dependencies.public_url if can_reach else None

    async def _is_known(self, handle: str) -> bool:
        """Whether the service has this run. Asks for `gone_seconds`, as for a followed run: a proxy in front of the
        service may answer 404, too.
        """
        end = self._clock.monotonic() + self._poll_rules.gone_seconds
        pause = self._poll_rules.first_seconds
        while await self._api.get(run_path(handle)) is None:
            if self._clock.monotonic() >= end:
                return False
            await self._clock.sleep(pause := min(pause * 2, self._poll_rules.longest_seconds))
        return True

    async def _ask_cancel(self, handle: str) -> Answer:
        return await self._api.send("POST", f"{run_path(handle)}/cancel")

    async def _poll(self, handle: str) -> PolledState:
        try:
            answer = await self._api.send("GET", run_path(handle))
        except TooLarge as error:
            return PolledState(unreadable=f"The state of the run cannot be read at its service: {error}")
        except FetchFailed as error:
            return PolledState(fault=str(error))
        if answer.status in (404, 410):
            return PolledState(is_gone=True)
        run = read_run(answer.body, handle, is_large=is_large(answer.response)) if answer.status == 200 else None
        if run is None:
            if answer.status < 400:  # others are noted already
                self._journal.note(f"It shows no state of {handle}. {answer.fault}")
            return PolledState(fault=answer.fault)
        return PolledState(run=run)


def _ignore(url: str) -> None:
    del url
