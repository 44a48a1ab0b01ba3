"""Cog servers as a provider: several addresses, full and broken ones, cut connections, restarts, files."""

import asyncio
import gc
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from halley.assets.output_links import OutputLinks
from halley.dispatch.ports import LogText, Outcome, OutputPart, Progress, Work
from halley.dispatch.upstreams import UpstreamTarget
from halley.egress import EgressResponse
from halley.errors import OutcomeUnknown, ProviderBusy, SubmitRefused
from halley.predictions.submits import UNKNOWN_REASON
from halley.providers.cog import exchange, pool
from halley.providers.cog.exchange import ExchangeRules
from halley.providers.cog.provider import CogProvider
from halley.providers.cog.report import refusal
from halley.providers.cog.run import CogRun
from halley.providers.cog.server import CogServer
from halley.providers.services.api import Answer
from halley.testing.cog.models import ITEMS, TEXT, Model, Running, document, echo, fail, spell, wait
from halley.testing.cog.opening import TOKEN, open_provider
from halley.testing.cog.server import FakeCog, Line, Unsent, serve
from halley.testing.providers import logs, outputs, within
from halley.testing.replicate.opening import Answers

pytestmark = pytest.mark.anyio

RERUN = {"exchange": ExchangeRules(poll_seconds=0.01, unanswered_seconds=0.03, rerun_lost=True)}
FILE = "data:text/plain;base64," + b64encode(b"hello").decode()


def cog(model: Model, line: Line = "coglet", output: dict[str, Any] = TEXT, **more: Any) -> FakeCog:
    return FakeCog(model, document(output, has_stream=line == "stream"), line=line, **more)


def work(prediction_id: str = "p1", given: bytes = b'{"text":"abc"}') -> Work:
    return Work(prediction_id=prediction_id, attempt=1, version="v", model="test/model", input=given)


async def loaded(provider: CogProvider, slots: int = 1) -> None:
    """Wait until so many slots are free."""
    provider.request_capacity("v")
    async with asyncio.timeout(60):
        while provider.free_slots("v") < slots:
            await asyncio.sleep(0.005)


async def begun(provider: CogProvider, prediction_id: str = "p1", given: bytes = b'{"text":"abc"}') -> str:
    await loaded(provider)
    assert provider.take_slot("v")
    return await within(provider.submit(work(prediction_id, given)))


async def followed(provider: CogProvider, handle: str) -> tuple[list[Progress], Outcome]:
    said: list[Progress] = []
    return said, await within(provider.follow(handle, said.append))


def in_memory(prediction_id: str) -> list[CogRun]:
    """Its runs that anything still refers to, timers included."""
    gc.collect()
    runs = (thing for thing in gc.get_objects() if isinstance(thing, CogRun))
    return [run for run in runs if run.prediction_id == prediction_id]


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def one(server: FakeCog, **more: Any) -> AsyncIterator[CogProvider]:
    async with serve(server), open_provider(server, **more) as provider:
        yield provider


# several addresses


async def test_each_server_has_its_slots_and_the_least_loaded_gets_the_next_run():
    async with (
        serve(cog(wait, slots=2)) as first,
        serve(cog(wait, slots=2)) as second,
        open_provider(first, second) as provider,
    ):
        await loaded(provider, 4)
        handles = [await begun(provider, f"p{number}") for number in range(4)]
        assert (len(first.runs), len(second.runs)) == (2, 2)
        assert len({handle.partition(":")[0] for handle in handles}) == 2
        assert provider.free_slots("v") == 0
        assert provider.report().in_flight == 4


async def test_a_server_that_does_not_answer_has_no_slots_and_gets_no_run():
    async with serve(cog(echo)) as living:
        dead = cog(echo)
        dead.port = 1
        async with open_provider(dead, living) as provider:
            for number in range(3):
                _, outcome = await followed(provider, await begun(provider, f"p{number}"))
                assert outcome.status == "succeeded"
            assert provider.report().slots == 1


async def test_a_run_goes_to_another_server_if_its_own_has_gone():
    async with serve(cog(wait)) as second:
        async with serve(cog(wait)) as first, open_provider(first, second) as provider:
            await loaded(provider, 2)
            port = first.port
        assert port
        async with open_provider(first, second) as provider:
            handle = await begun(provider)
            assert set(second.runs) == {"p1"}
            provider.cancel(handle)
            assert (await followed(provider, handle))[1].status == "canceled"


# health


@pytest.mark.parametrize(
    ("word", "logs_there", "text"),
    [
        ("STARTING", "", "Its model is being set up."),
        ("SETUP_FAILED", "RuntimeError: no weights", "SETUP_FAILED: RuntimeError: no weights"),
        ("DEFUNCT", "", "Its health is DEFUNCT."),
        ("UNHEALTHY", "", "Its health is UNHEALTHY."),
    ],
)
async def test_a_server_that_is_not_well_has_no_slots_until_it_is(word: str, logs_there: str, text: str):
    server = cog(echo)
    server.word, server.setup_logs = word, logs_there
    async with one(server) as provider:
        rooms: asyncio.Queue[str] = asyncio.Queue()
        provider.listen(on_capacity=rooms.put_nowait, on_broken=lambda *_: None)
        provider.request_capacity("v")
        async with asyncio.timeout(60):
            while text not in provider.report().waits_for:
                await asyncio.sleep(0.005)
        assert (provider.free_slots("v"), rooms.empty()) == (0, True)
        server.word = None
        assert await within(rooms.get()) == "v"
        assert provider.report().waits_for == ""


async def test_nobody_asks_for_the_health_while_nothing_runs():
    server = cog(echo)
    async with one(server) as provider:
        await followed(provider, await begun(provider))
        count = len(server.asked)
        await asyncio.sleep(0.1)
        assert len(server.asked) == count


async def test_a_server_that_runs_something_is_not_asked(monkeypatch: pytest.MonkeyPatch):
    """One of Cog 0.9 would not answer."""
    monkeypatch.setattr(pool, "FRESH_SECONDS", 0.0)
    server = cog(wait, "old", slots=2)
    async with one(server) as provider:
        handle = await begun(provider)
        await asyncio.sleep(0.02)
        count = len(server.asked)
        provider.request_capacity("v")
        await asyncio.sleep(0.05)
        assert len(server.asked) == count
        provider.cancel(handle)
        await followed(provider, handle)


async def test_a_server_that_only_refuses_is_asked_for_its_health():
    """A coglet whose model has crashed says for ever that it is full."""
    server = cog(wait)
    async with one(server) as provider:
        await loaded(provider)
        assert provider.take_slot("v")
        server.refusals, server.word = 1000, "UNHEALTHY"
        with pytest.raises(ProviderBusy):
            await provider.submit(work())
        async with asyncio.timeout(60):
            while "UNHEALTHY" not in provider.report().waits_for:
                await asyncio.sleep(0.005)
        assert [address.why for address in provider.report().addresses] == ["Its health is UNHEALTHY."]


async def test_what_is_no_cog_server_opens_the_breaker():
    answers = Answers()
    dead = cog(echo)
    dead.port = 1
    async with open_provider(dead, answers=answers) as provider:
        provider.request_capacity("v")
        async with asyncio.timeout(60):
            while not answers.heard:
                await asyncio.sleep(0.005)
        assert answers.heard[0] is False


# full


async def test_a_server_that_refuses_for_a_moment_is_asked_again():
    server = cog(echo)
    server.refusals = 3
    async with one(server) as provider:
        _, outcome = await followed(provider, await begun(provider))
        assert (outcome.status, server.begun["p1"]) == ("succeeded", 1)


async def test_a_server_that_others_use_is_busy():
    server = cog(echo)
    async with one(server) as provider:
        await loaded(provider)
        assert provider.take_slot("v")
        server.refusals = 1000
        with pytest.raises(ProviderBusy, match="409: At capacity"):
            await provider.submit(work())
        assert not server.begun


@pytest.mark.parametrize("seconds", [0.0, 0.3])  # the second is taken for begun by then
@pytest.mark.parametrize("line", ["stream", "coglet"])
async def test_a_run_that_reached_no_process_goes_to_another_server(line: Line, seconds: float):
    async def unsent(run: Running) -> Any:
        await asyncio.sleep(seconds)
        raise Unsent("Failed to send on slot socket: Broken pipe (os error 32)")

    first, second = cog(unsent, line), cog(echo, line)
    async with serve(first), serve(second), open_provider(first, second) as provider:
        await loaded(provider, 2)
        first.word = "UNHEALTHY"
        _, outcome = await followed(provider, await begun(provider))
        assert (outcome.status, first.begun, second.begun) == ("succeeded", {"p1": 1}, {"p1": 1})


async def test_a_gateway_that_answers_for_its_server_proves_nothing(monkeypatch: pytest.MonkeyPatch):
    server = cog(echo)
    told = CogServer.read

    async def lost(self: CogServer, response: EgressResponse) -> Answer:
        body = b'{"message":"the upstream server is timing out"}'
        is_run = response.body.startswith(b'{"id"')
        return await told(self, msgspec.structs.replace(response, status=503, body=body) if is_run else response)

    monkeypatch.setattr(CogServer, "read", lost)
    async with one(server) as provider:
        with pytest.raises(OutcomeUnknown):
            await begun(provider)
        assert server.begun == {"p1": 1}


async def test_a_run_that_was_over_before_it_was_followed_is_not_kept_after_that():
    async with one(cog(echo)) as provider:
        handle = await begun(provider, "early")
        await until(lambda: all(run.is_over for run in in_memory("early")))
        assert (await followed(provider, handle))[1].status == "succeeded"
        await until(lambda: not in_memory("early"))


async def test_a_run_that_is_refused_is_not_kept():
    async with one(cog(echo)) as provider:
        with pytest.raises(SubmitRefused):
            await begun(provider, "refused", given=b"3")
        await until(lambda: not in_memory("refused"))


async def test_an_input_that_the_server_refuses_is_refused():
    async def never(run: Running) -> None:
        raise AssertionError(run)

    server = cog(never)
    async with one(server) as provider:
        await loaded(provider)
        assert provider.take_slot("v")
        with pytest.raises(SubmitRefused, match=r"422: input: is not of type object"):
            await provider.submit(work(given=b"7"))


@pytest.mark.parametrize("place", [5, None, "body.text", {"a": 1}, ["body", "text", 0]])
def test_a_refusal_may_name_its_place_in_any_form(place: Any):
    said = refusal(422, {"detail": [{"loc": place, "msg": "is wrong"}, 7]})
    assert said.startswith("It answered 422: ")
    assert said.endswith(": is wrong")


async def test_output_after_a_cancel_is_not_kept():
    async def stubborn(run: Running) -> list[str]:
        for number in range(2000):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
            run.yields(f"{number}")
        return []

    async with one(cog(stubborn, "stream", ITEMS)) as provider:
        handle = await begun(provider)
        said: list[Progress] = []

        def emit(part: Progress) -> None:
            said.append(part)
            provider.cancel(handle)

        await within(provider.follow(handle, emit))
        assert len([part for part in said if isinstance(part, OutputPart)]) < 1000


@pytest.mark.parametrize("line", ["stream", "coglet", "old"])
async def test_an_error_without_end_is_cut(line: Line):
    async def never_stops(run: Running) -> None:
        raise ValueError(run.input["text"] * 100_000)

    async with one(cog(never_stops, line)) as provider:
        _, outcome = await followed(provider, await begun(provider))
        assert (outcome.status, len(outcome.error or "")) == ("failed", 10_009)


# cut connections


async def test_a_stream_that_breaks_is_joined_again():
    server = cog(spell, "stream", ITEMS)
    server.cuts.append("at once")
    async with one(server) as provider:
        said, outcome = await followed(provider, await begun(provider, given=b'{"text":"abcdefghij"}'))
        assert (outputs(said), outcome.status) == (list("abcdefghij"), "succeeded")
        assert logs(said).split() == list("abcdefghij")
        assert server.begun == {"p1": 1}


async def test_streams_that_always_break_are_joined_again_at_intervals(monkeypatch: pytest.MonkeyPatch):
    server = cog(wait, "stream")

    async def broken(*_: object) -> bool:
        return False

    monkeypatch.setattr(server, "_follow", broken)
    async with one(server, rules={"exchange": ExchangeRules(poll_seconds=60.0)}) as provider:
        await begun(provider)
        await asyncio.sleep(0.3)
        assert len(server.asked) <= 8
        assert server.begun == {"p1": 1}


async def test_a_server_that_drops_events_of_a_stream_gets_no_streams_for_a_while():
    server = cog(spell, "stream", ITEMS)
    server.lag_after = 8
    async with one(server) as provider:
        said, outcome = await followed(provider, await begun(provider, given=b'{"text":"abcdefghij"}'))
        assert (outcome.status, outcome.reason) == ("failed", UNKNOWN_REASON)
        assert "events were dropped" in provider.report().faults[0].text
        said, outcome = await followed(provider, await begun(provider, "p2", b'{"text":"abcdefghij"}'))
        assert (outputs(said), outcome.status) == (list("abcdefghij"), "succeeded")
        assert server.begun == {"p1": 1, "p2": 1}


async def test_a_stream_that_breaks_is_joined_again_although_events_of_another_run_were_dropped(
    monkeypatch: pytest.MonkeyPatch,
):
    streams: list[Running] = []

    async def yields(run: Running) -> Any:
        if run.id == "p1":
            run._tell("error", {"error": "SSE stream lagged; events were dropped"})
            await asyncio.sleep(0.05)
        for _ in range(1000 if run.id == "p2" else 1):
            if streams.count(run) > 1:
                break
            run.yields("a")
            await asyncio.sleep(0.005)
        return list(run.output)

    server = cog(yields, "stream", ITEMS, slots=2)
    follow = server._follow

    async def noted(run: Running, *more: Any) -> bool:
        streams.append(run)
        return await follow(run, *more)

    monkeypatch.setattr(server, "_follow", noted)
    async with one(server) as provider:
        await loaded(provider, 2)
        handle = await begun(provider, "p2")
        _, other = await followed(provider, await begun(provider))
        server.cut_after = 1
        said, outcome = await followed(provider, handle)
        assert (other.reason, outcome.status, server.cut_after) == (UNKNOWN_REASON, "succeeded", None)
        assert (outputs(said), server.begun) == (streams[0].output, {"p1": 1, "p2": 1})


async def test_an_event_of_a_name_that_is_not_known_changes_nothing():
    async def notes(run: Running) -> Any:
        run.events.append(("note", {"text": "hello"}))
        return await echo(run)

    server = cog(notes, "stream")
    async with one(server) as provider:
        for run in ("p1", "p2"):
            said, outcome = await followed(provider, await begun(provider, run))
            assert (outputs(said), outcome.status) == (["abc"], "succeeded")
        assert server.begun == {"p1": 1, "p2": 1}
        assert not provider.report().faults


async def test_a_run_that_is_sent_again_after_dropped_events_is_joined_as_any_other(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exchange, "LAG_SECONDS", 0.1)

    async def lags_once(run: Running) -> Any:
        if server.begun[run.id] == 1:
            run._tell("error", {"error": "SSE stream lagged; events were dropped"})
            await asyncio.sleep(0.3)
            return []
        server.cut_after = 1  # the stream of the second run breaks
        for _ in range(30):
            run.log("x\n")
            await asyncio.sleep(0.02)
        run.yields("a")
        return list(run.output)

    server = cog(lags_once, "stream", ITEMS)
    rules = {"exchange": ExchangeRules(rerun_lost=True, poll_seconds=0.02)}
    async with one(server, rules=rules) as provider:
        said, outcome = await followed(provider, await begun(provider))
        assert (outputs(said), outcome.status, server.begun) == (["a"], "succeeded", {"p1": 2})


async def test_what_a_joined_stream_repeats_is_not_reported_twice():
    server = cog(spell, "stream", ITEMS)
    server.cut_after = 8
    async with one(server) as provider:
        said, outcome = await followed(provider, await begun(provider, given=b'{"text":"abcdefghij"}'))
        assert (outputs(said), logs(said)) == (list("abcdefghij"), "".join(f"{letter}\n" for letter in "abcdefghij"))
        assert (outcome.status, server.cut_after, server.begun) == ("succeeded", None, {"p1": 1})


async def test_a_lost_run_that_has_shown_output_is_not_sent_again():
    server = cog(spell, "coglet", ITEMS)
    server.cuts.append("later")
    async with one(server, rules=RERUN) as provider:
        said, outcome = await followed(provider, await begun(provider, given=b'{"text":"' + b"a" * 60 + b'"}'))
        assert outputs(said)
        assert (outcome.status, outcome.reason, server.begun) == ("failed", UNKNOWN_REASON, {"p1": 1})
    async with serve(server), open_provider(server, rules=RERUN) as provider:
        shown = msgspec.structs.replace(work("p2"), has_output=True)
        with pytest.raises(OutcomeUnknown):
            await provider.adopt(shown, None)


async def test_without_streams_a_run_is_watched_after_a_cut_and_its_end_is_unknown():
    server = cog(spell, "coglet", ITEMS)
    server.cuts.append("at once")
    async with one(server) as provider:
        said, outcome = await followed(provider, await begun(provider, given=b'{"text":"abcdefghijkl"}'))
        assert (outcome.status, outcome.reason) == ("failed", UNKNOWN_REASON)
        assert logs(said).startswith("a\n")
        assert server.begun == {"p1": 1}


@pytest.mark.parametrize("line", ["old", "bare"])
async def test_where_nobody_can_ask_a_cut_is_an_unknown_outcome(line: Line):
    server = cog(echo, line)
    server.cuts.append("at once")
    patient = ExchangeRules(unanswered_seconds=60.0)  # else a cut that arrives late is told as the end of a run
    async with one(server, rules={"exchange": patient}) as provider:
        with pytest.raises(OutcomeUnknown):
            await begun(provider)
        assert (server.begun, provider.report().unknown) == ({"p1": 1}, 1)


@pytest.mark.parametrize("line", ["old", "bare", "coglet", "stream"])
async def test_a_lost_run_is_sent_again_if_the_operator_says_so(line: Line):
    server = cog(echo, line)
    server.cuts.append("later")
    async with one(server, rules=RERUN) as provider:
        said, outcome = await followed(provider, await begun(provider))
        assert (outputs(said), outcome.status, server.begun) == (["abc"], "succeeded", {"p1": 2})


async def test_a_lost_run_is_sent_to_another_server_if_its_own_has_gone():
    first, second = cog(wait), cog(echo)
    async with serve(second):
        async with serve(first):
            first_port = first.port
            opened = open_provider(first, second, rules=RERUN)
            provider = await opened.__aenter__()
            await loaded(provider, 2)
            handle = await begun(provider)
        try:
            assert first_port
            said, outcome = await followed(provider, handle)
            assert (outputs(said), outcome.status) == (["abc"], "succeeded")
            assert (first.begun, second.begun) == ({"p1": 1}, {"p1": 1})
        finally:
            await opened.__aexit__(None, None, None)


async def test_a_lost_run_is_adopted_elsewhere_if_its_server_has_gone():
    dead = cog(wait)
    dead.port = 1
    async with serve(cog(echo)) as living, open_provider(dead, living, rules=RERUN) as provider:
        await loaded(provider)
        assert provider.take_slot("v")
        handle = await within(provider.adopt(work(), f"{provider._pool.servers[0].label}:p1"))
        assert handle is not None
        assert (await followed(provider, handle))[1].status == "succeeded"
        assert living.begun == {"p1": 1}


# restarts


@pytest.mark.parametrize("line", ["stream", "coglet", "bare", "old"])
async def test_a_run_of_an_earlier_process_is_unknown_or_sent_again(line: Line):
    async with serve(cog(wait, line)) as server:
        async with open_provider(server) as provider:
            handle = await begun(provider)
        for run in list(server.runs.values()):  # the newer line does this by itself
            if run.task is not None:
                run.task.cancel()
                await asyncio.gather(run.task)
        async with open_provider(server) as provider:
            with pytest.raises(OutcomeUnknown):
                await provider.adopt(work(), handle)
            with pytest.raises(OutcomeUnknown):
                await provider.adopt(work(), None)
        server.model = echo
        async with open_provider(server, rules=RERUN) as provider:
            for known in (handle, None):
                await loaded(provider)
                assert provider.take_slot("v")
                again = await within(provider.adopt(work(), known))
                assert again == handle
                assert (await followed(provider, handle))[1].status == "succeeded"


@pytest.mark.parametrize("known", [True, False])
async def test_a_run_that_goes_on_is_adopted_with_all_it_said(known: bool):
    async with serve(cog(spell, "stream", ITEMS)) as other, serve(cog(spell, "stream", ITEMS)) as server:
        run = server._begin("p1", {"text": "abcdefghij" * 3})
        await asyncio.sleep(0.02)
        async with open_provider(other, server) as provider:
            await loaded(provider)
            assert provider.take_slot("v")
            handle = f"{provider._pool.servers[1].label}:p1"
            assert await provider.adopt(work(), handle if known else None) == handle
            said, outcome = await followed(provider, handle)
            assert (outputs(said), outcome.status) == (run.output, "succeeded")
            assert (server.begun, other.begun) == ({"p1": 1}, {})


@pytest.mark.parametrize("rules", [{}, RERUN])
async def test_a_run_that_its_server_still_cancels_after_a_restart_is_lost(rules: dict[str, object]):
    async with serve(cog(wait, "stream")) as server:
        run = server._begin("p1", {"text": "abc"})
        async with open_provider(server, rules=rules) as provider:
            await loaded(provider)
            assert provider.take_slot("v")
            handle = await provider.adopt(work(), None)
            assert handle is not None
            server.model = echo
            asyncio.get_running_loop().call_later(0.05, run.task.cancel)  # type: ignore[union-attr]
            _, outcome = await followed(provider, handle)
            assert (outcome.status, outcome.reason) == (("succeeded", None) if rules else ("failed", UNKNOWN_REASON))


async def test_a_server_that_cannot_be_asked_is_asked_later():
    dead = cog(wait)
    dead.port = 1
    async with open_provider(dead) as provider:
        with pytest.raises(ProviderBusy):
            await provider.adopt(work(), f"{provider._pool.servers[0].label}:p1")


async def test_a_run_is_found_although_another_server_cannot_be_asked():
    dead = cog(wait)
    dead.port = 1
    async with serve(cog(wait)) as living, open_provider(dead, living) as provider:
        handle = f"{provider._pool.servers[1].label}:p1"
        with pytest.raises(ProviderBusy):
            await provider.find_begun(work(), 30.0)
        living._begin("p1", {"text": "a"})
        assert await provider.find_begun(work(), 30.0) == handle
        assert await provider.adopt(work(), None) == handle
        with pytest.raises(ProviderBusy):
            await provider.adopt(work("p2"), None)


async def test_the_run_of_an_address_that_is_not_configured_is_lost():
    async with one(cog(wait)) as provider:
        assert await provider.adopt(work(), "0123abcd:p1") is None


# what is sent and what comes


async def test_an_input_has_no_nulls_and_its_files_inside():
    server = cog(echo)
    async with one(server) as provider:
        given = msgspec.json.encode({"text": "a", "file": FILE, "seed": None})
        await followed(provider, await begun(provider, given=given))
        assert server.bodies == [{"input": {"text": "a", "file": FILE}}]
        assert server.tokens == {f"Bearer {TOKEN}"}


async def test_files_in_an_output_are_stored(tmp_path: Path):
    async def write(run: Running) -> Any:
        return FILE

    async with one(cog(write, output={"type": "string", "format": "uri"})) as provider:
        said, _ = await followed(provider, await begun(provider))
    (part,) = [one for one in said if isinstance(one, OutputPart)]
    assert part.links == ((),)
    links = OutputLinks(fetch=None, limit_bytes=100, deadline_seconds=1)  # type: ignore[arg-type]
    path = await links.fetch(msgspec.json.decode(part.value), 0, tmp_path)
    assert (path.read_bytes(), path.suffix) == (b"hello", ".txt")


async def test_a_file_that_is_too_large_for_the_request_is_refused():
    async with one(cog(echo, "bare"), rules={"data_url_bytes": 10}) as provider:
        await loaded(provider)
        assert provider.take_slot("v")
        with pytest.raises(SubmitRefused, match=r"input\.file: the file has 5 bytes"):
            await provider.submit(work(given=msgspec.json.encode({"text": "a", "file": FILE})))


@pytest.mark.parametrize("line", ["stream", "coglet"])
async def test_a_large_output_arrives_whole(line: Line):
    large = "data:application/octet-stream;base64," + "QUJD" * 500_000

    async def write(run: Running) -> Any:
        run.yields(large)
        return list(run.output)

    output = {"type": "array", "items": {"type": "string", "format": "uri"}, "x-cog-array-type": "iterator"}
    async with one(cog(write, line, output)) as provider:
        said, outcome = await followed(provider, await begun(provider))
    assert (outputs(said) == [large], outcome.status) == (True, "succeeded")
    assert [part.links for part in said if isinstance(part, OutputPart)] == [((),)]


async def test_text_that_only_looks_like_a_file_stays_text():
    async def say(run: Running) -> Any:
        return FILE

    async with one(cog(say)) as provider:
        said, _ = await followed(provider, await begun(provider))
    assert [part.links for part in said if isinstance(part, OutputPart)] == [()]


@pytest.mark.parametrize("line", ["stream", "old"])
async def test_a_failed_run_has_its_logs_and_the_error_without_cogs_words(line: Line):
    async with one(cog(fail, line)) as provider:
        said, outcome = await followed(provider, await begun(provider))
    assert "".join(part.text for part in said if isinstance(part, LogText)) == "now\n"
    assert (outcome.error or "").removeprefix("ValueError: ") == "no such luck"


async def test_the_schema_is_that_of_the_server():
    server = cog(echo)
    async with one(server) as provider:
        found = await provider.find_model(UpstreamTarget(model="a/b"))
        assert found is not None
        assert (found.model, found.version) == ("a/b", None)
        assert msgspec.json.decode(found.openapi_schema) == server.document
        assert await provider.find_model(UpstreamTarget(model="a/b", version="f" * 64)) is None
    dead = cog(echo)
    dead.port = 1
    async with open_provider(dead) as provider:
        with pytest.raises(ProviderBusy):
            await provider.find_model(UpstreamTarget(model="a/b"))


async def test_the_token_is_in_no_report():
    server = cog(echo, output=TEXT)
    async with one(server) as provider:
        await loaded(provider)
        server.word = f"ODD {TOKEN}"
        provider.use_token("another")
        assert TOKEN not in str(provider.report())
