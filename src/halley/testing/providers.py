"""The contract suite of providers. Subclass it, open your provider with the five versions named below, and run it.

class TestMine(ProviderContract):  # or OutlivingProviderContract, if its runs continue when our process ends
    def open(self, tmp_path): return my_provider(...)

A second `open` in the same test is a restart of our process: the upstream service must be the same one.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import pytest

from halley.dispatch.ports import BegunRun, LogText, Outcome, OutputPart, Progress, Provider, RunListener, Work
from halley.errors import HalleyError, OutcomeUnknown
from halley.predictions.submits import UNKNOWN_REASON

ECHO: Final = "echo"  # prints `saying <text>`, outputs the input's `text`; two slots
STREAM: Final = "stream"  # an iterator: outputs each letter of `text`, printing the letter before it
FAIL: Final = "fail"  # raises an error with the text `no such luck`
WAIT: Final = "wait"  # runs until it is cancelled; one slot
BROKEN: Final = "broken"  # cannot be loaded: `no weights`

PATIENCE_SECONDS: Final = 20.0  # how long a test waits for a model process before it fails


class ListeningProvider(Provider, Protocol):
    """A provider with the callbacks that `app` connects to dispatch."""

    def listen(self, *, on_capacity: Any, on_broken: Any) -> None: ...


class Probe:
    """A provider with a listener, as in dispatch."""

    def __init__(self, provider: ListeningProvider) -> None:
        self.provider = provider
        self.rooms: asyncio.Queue[str] = asyncio.Queue()
        self.broken: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue()
        provider.listen(on_capacity=self.rooms.put_nowait, on_broken=lambda *said: self.broken.put_nowait(said))

    async def load(self, version: str) -> None:
        """Request capacity, and wait until there is some."""
        self.provider.request_capacity(version)
        assert await within(self.rooms.get()) == version

    async def begin(self, version: str, text: str = "abc", prediction_id: str = "p1") -> str:
        """Take a slot and submit."""
        assert self.provider.take_slot(version)
        return await self.provider.submit(work_of(version, text, prediction_id))

    async def adopt(self, version: str, handle: str | None, text: str = "abc") -> str | None:
        """As the next process does, which holds a slot for it."""
        await self.load(version)
        assert self.provider.take_slot(version)
        return await self.provider.adopt(work_of(version, text, "p1"), handle)

    async def follow(self, handle: str) -> tuple[list[Progress], Outcome]:
        """All its progress, and its outcome."""
        said: list[Progress] = []
        return said, await within(self.provider.follow(handle, said.append))

    async def run(self, version: str, text: str = "abc", prediction_id: str = "p1") -> tuple[list[Progress], Outcome]:
        """Load, begin and follow."""
        if not self.provider.free_slots(version):
            await self.load(version)
        return await self.follow(await self.begin(version, text, prediction_id))

    async def begin_at_once(self, version: str, text: str = "abc") -> "HeardRun | None":
        """Take a slot and begin without waiting; None if the provider does not do that: then the slot is free again."""
        if not self.provider.free_slots(version):
            await self.load(version)
        assert self.provider.take_slot(version)
        run = HeardRun()
        run.begun = self.provider.begin_at_once(work_of(version, text, "p1"), run)
        assert not run.outcome.done()
        if run.begun is None:
            self.provider.drop_slot(version)
        return None if run.begun is None else run


class HeardRun(RunListener):
    """What is heard of a run that began without waiting."""

    def __init__(self) -> None:
        self.begun: BegunRun | None = None
        self.said: list[Progress] = []
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def emit(self, progress: Progress) -> None:
        self.said.append(progress)

    def ended(self, outcome: Outcome) -> None:
        self.outcome.set_result(outcome)  # a second call raises


def work_of(version: str, text: str, prediction_id: str) -> Work:
    """The work to submit."""
    given = msgspec.json.encode({"text": text})
    return Work(prediction_id=prediction_id, attempt=1, version=version, model="test/model", input=given)


def outputs(said: list[Progress]) -> list[Any]:
    """The values of the output parts."""
    return [msgspec.json.decode(part.value) for part in said if isinstance(part, OutputPart)]


def logs(said: list[Progress]) -> str:
    """All log text."""
    return "".join(part.text for part in said if isinstance(part, LogText))


async def within(work: Any) -> Any:
    """Its result, or a failed test after a time limit."""
    return await asyncio.wait_for(work, PATIENCE_SECONDS)


@pytest.mark.anyio
class ProviderContract:
    """The contract of `dispatch.ports.Provider`.

    `sends_again`: to adopt a run without a handle, it sends the create again under its idempotency key.
    """

    sends_again = False

    def open(self, tmp_path: Path) -> AbstractAsyncContextManager[ListeningProvider]:
        """A new provider that serves ECHO, STREAM, FAIL, WAIT and BROKEN."""
        raise NotImplementedError

    @asynccontextmanager
    async def probe(self, tmp_path: Path) -> AsyncIterator[Probe]:
        async with self.open(tmp_path) as provider:
            yield Probe(provider)

    async def test_no_slot_before_capacity_is_requested(self, tmp_path: Path) -> None:
        async with self.probe(tmp_path) as probe:
            assert probe.provider.free_slots(ECHO) == 0
            assert not probe.provider.take_slot(ECHO)
            assert not probe.provider.take_slot("unheard of")

    async def test_requesting_capacity_can_be_repeated(self, tmp_path: Path) -> None:
        async with self.probe(tmp_path) as probe:
            for _ in range(3):
                probe.provider.request_capacity(WAIT)
            await within(probe.rooms.get())
            assert probe.provider.free_slots(WAIT) == 1
            await probe.load(WAIT)  # there is capacity already: the callback comes again

    async def test_the_callback_is_never_called_from_inside_request_capacity(self, tmp_path: Path) -> None:
        async with self.probe(tmp_path) as probe:
            await probe.load(ECHO)
            probe.provider.request_capacity(ECHO)
            probe.provider.request_capacity(BROKEN)
            assert probe.rooms.empty()
            assert probe.broken.empty()

    async def test_a_slot_is_held_until_it_is_released(self, tmp_path: Path) -> None:
        async with self.probe(tmp_path) as probe:
            await probe.load(WAIT)
            assert probe.provider.take_slot(WAIT)
            assert not probe.provider.take_slot(WAIT)
            assert probe.provider.free_slots(WAIT) == 0
            probe.provider.drop_slot(WAIT)
            assert probe.provider.take_slot(WAIT)

    async def test_a_whole_output_is_one_last_part(self, tmp_path: Path) -> None:
        async with self.probe(tmp_path) as probe:
            said, outcome = await probe.run(ECHO, "hello ☄")
            assert outcome.status == "succeeded"
            assert outcome.error is None
            assert outputs(said) == ["hello ☄"]
            assert [part.more for part in said if isinstance(part, OutputPart)] == [False]
            assert logs(said) == "saying hello ☄\n"

    async def test_items_of_an_iterator_come_in_order_among_the_logs(self, tmp_path: Path) -> None:
        async with self.probe(tmp_path) as probe:
            said, outcome = await probe.run(STREAM, "abcd")
            assert outcome.status == "succeeded"
            assert outputs(said) == ["a", "b", "c", "d"]
            assert all(part.more for part in said if isinstance(part, OutputPart))
            printed = "".join(part.text if isinstance(part, LogText) else "!" for part in said)
            assert printed.split() == ["a", "!b", "!c", "!d", "!"]

    async def test_a_failure_is_an_outcome(self, tmp_path: Path) -> None:
        async with self.probe(tmp_path) as probe:
            said, outcome = await probe.run(FAIL)
            assert outcome.status == "failed"
            assert "no such luck" in (outcome.error or "")
            assert outputs(said) == []

    @pytest.mark.parametrize("version", [ECHO, STREAM, FAIL])
    async def test_a_run_that_begins_at_once_is_reported_as_one_that_is_followed(
        self, tmp_path: Path, version: str
    ) -> None:
        async with self.probe(tmp_path) as probe:
            if (run := await probe.begin_at_once(version)) is not None:
                outcome = await within(run.outcome)
                said, followed = await probe.run(version)
                assert (outputs(run.said), logs(run.said)) == (outputs(said), logs(said))
                assert (outcome.status, outcome.error, outcome.reason) == (
                    followed.status,
                    followed.error,
                    followed.reason,
                )

    async def test_a_run_that_began_at_once_can_be_cancelled(self, tmp_path: Path) -> None:
        async with self.probe(tmp_path) as probe:
            run = await probe.begin_at_once(WAIT)
            if run is not None and run.begun is not None:
                assert probe.provider.free_slots(WAIT) == 0
                run.begun.cancel()
                run.begun.cancel()
                assert (await within(run.outcome)).status == "canceled"
                run.begun.cancel()
                assert probe.provider.free_slots(WAIT) == 1

    async def test_the_slot_is_free_when_follow_returns(self, tmp_path: Path) -> None:
        async with self.probe(tmp_path) as probe:
            for number, version in enumerate((WAIT, FAIL)):
                await probe.load(version)
                before = probe.provider.free_slots(version)
                handle = await probe.begin(version, prediction_id=f"p{number}")
                assert probe.provider.free_slots(version) == before - 1
                probe.provider.cancel(handle)
                await probe.follow(handle)
                assert probe.provider.free_slots(version) == before

    async def test_nothing_is_lost_before_the_follower_starts(self, tmp_path: Path) -> None:
        async with self.probe(tmp_path) as probe:
            await probe.load(ECHO)
            first = await probe.begin(ECHO, "first", "p1")
            second = await probe.begin(ECHO, "second", "p2")
            await probe.follow(second)  # by then the first has ended, too, or will
            said, outcome = await probe.follow(first)
            assert (outputs(said), outcome.status) == (["first"], "succeeded")

    async def test_runs_side_by_side_do_not_mix(self, tmp_path: Path) -> None:
        async with self.probe(tmp_path) as probe:
            await probe.load(ECHO)
            handles = [await probe.begin(ECHO, text, text) for text in ("one", "two")]
            assert not probe.provider.take_slot(ECHO)
            ends = await asyncio.gather(*(probe.follow(handle) for handle in handles))
            assert [outputs(said) for said, _ in ends] == [["one"], ["two"]]
            assert [logs(said) for said, _ in ends] == ["saying one\n", "saying two\n"]

    async def test_a_cancelled_run_ends_canceled(self, tmp_path: Path) -> None:
        async with self.probe(tmp_path) as probe:
            await probe.load(WAIT)
            handle = await probe.begin(WAIT)
            following = asyncio.ensure_future(probe.follow(handle))
            await asyncio.sleep(0)
            probe.provider.cancel(handle)
            probe.provider.cancel(handle)
            _, outcome = await following
            assert outcome.status == "canceled"

    async def test_a_cancel_right_after_submit_is_not_lost(self, tmp_path: Path) -> None:
        async with self.probe(tmp_path) as probe:
            await probe.load(WAIT)
            handle = await probe.begin(WAIT)
            probe.provider.cancel(handle)
            _, outcome = await probe.follow(handle)
            assert outcome.status == "canceled"

    async def test_a_late_or_strange_cancel_is_harmless(self, tmp_path: Path) -> None:
        async with self.probe(tmp_path) as probe:
            await probe.load(ECHO)
            handle = await probe.begin(ECHO)
            await probe.follow(handle)
            probe.provider.cancel(handle)
            probe.provider.cancel("unheard of")
            _, outcome = await probe.run(ECHO)
            assert outcome.status == "succeeded"

    async def test_an_unknown_handle_was_lost(self, tmp_path: Path) -> None:
        async with self.probe(tmp_path) as probe:
            said, outcome = await probe.follow("unheard of")
            reason = "worker_lost" if probe.provider.is_local else UNKNOWN_REASON
            assert (said, outcome.status, outcome.reason) == ([], "failed", reason)

    async def test_a_broken_version_says_why(self, tmp_path: Path) -> None:
        async with self.probe(tmp_path) as probe:
            probe.provider.request_capacity(BROKEN)
            version, error, reason = await within(probe.broken.get())
            assert (version, reason) == (BROKEN, "setup_failed")
            assert "no weights" in error
            assert probe.provider.free_slots(BROKEN) == 0

    async def test_an_unknown_version_is_broken_and_cannot_begin(self, tmp_path: Path) -> None:
        async with self.probe(tmp_path) as probe:
            probe.provider.request_capacity("unheard of")
            version, error, _ = await within(probe.broken.get())
            assert version == "unheard of"
            assert error
            with pytest.raises(HalleyError) as caught:
                await probe.provider.submit(work_of("unheard of", "", "p"))
            assert not isinstance(caught.value, OutcomeUnknown)

    async def test_a_cancelled_follower_leaves_nothing(self, tmp_path: Path) -> None:
        async with self.probe(tmp_path) as probe:
            await probe.load(WAIT)
            handle = await probe.begin(WAIT)
            following = asyncio.ensure_future(probe.follow(handle))
            await asyncio.sleep(0)
            following.cancel()
            with pytest.raises(asyncio.CancelledError):
                await following

    async def test_what_was_never_begun_is_not_found(self, tmp_path: Path) -> None:
        """For a local provider that is everything that an earlier process began: it ended with that process."""
        async with self.probe(tmp_path) as probe:
            await probe.load(ECHO)
            for handle in ("unheard of",) if self.sends_again else (None, "unheard of"):
                assert probe.provider.take_slot(ECHO)
                try:
                    assert await probe.provider.adopt(work_of(ECHO, "a", "p1"), handle) is None
                except OutcomeUnknown:
                    assert not probe.provider.is_local


class OutlivingProviderContract(ProviderContract):
    """The further contract of a provider whose runs continue when our process ends."""

    async def test_a_run_can_be_adopted_and_is_reported_from_its_beginning(self, tmp_path: Path) -> None:
        async with self.probe(tmp_path) as probe:
            await probe.load(STREAM)
            handle = await probe.begin(STREAM, "abcd")
            printed = await probe.follow(handle)
        async with self.probe(tmp_path) as probe:
            adopted = await probe.adopt(STREAM, handle, "abcd")
            assert adopted is not None
            again = await probe.follow(adopted)
            assert (outputs(again[0]), logs(again[0])) == (outputs(printed[0]), logs(printed[0]))
            assert again[1] == printed[1]

    async def test_a_run_whose_handle_was_lost_is_found_or_unknown(self, tmp_path: Path) -> None:
        async with self.probe(tmp_path) as probe:
            await probe.load(STREAM)
            handle = await probe.begin(STREAM, "abcd")
        async with self.probe(tmp_path) as probe:
            try:
                adopted = await probe.adopt(STREAM, None, "abcd")
            except OutcomeUnknown:
                return
            assert adopted is not None  # it was begun: nothing else may be reported
            assert adopted == handle
            said, _ = await probe.follow(adopted)
            assert outputs(said) == ["a", "b", "c", "d"]

    async def test_a_run_continues_without_its_follower(self, tmp_path: Path) -> None:
        async with self.probe(tmp_path) as probe:
            await probe.load(WAIT)
            handle = await probe.begin(WAIT)
            following = asyncio.ensure_future(probe.follow(handle))
            await asyncio.sleep(0)
            following.cancel()
            with pytest.raises(asyncio.CancelledError):
                await following
        async with self.probe(tmp_path) as probe:
            adopted = await probe.adopt(WAIT, handle)
            assert adopted is not None
            following = asyncio.ensure_future(probe.follow(adopted))
            await asyncio.sleep(0)
            assert not following.done()
            probe.provider.cancel(adopted)
            assert (await following)[1].status == "canceled"
