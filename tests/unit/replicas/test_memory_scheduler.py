"""Many models on one machine: who is in memory, who waits, who goes, and what never happens."""

import asyncio
import textwrap
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from halley.clock import Clock, SystemClock
from halley.providers.local import LocalProvider, MemoryRules
from halley.replicas.devices import Device
from halley.replicas.host import ReplicaRules
from halley.replicas.loading import ModelSource, load_source
from halley.replicas.memory import descendants, used_bytes, used_of
from halley.replicas.states import PoolState
from halley.settings import process_environ
from halley.testing.providers import outputs, within
from unit.replicas.processes import alive, until

pytestmark = pytest.mark.anyio
MB = 10**6

LARGE = """
    class Runner:
        def setup(self):
            self.weights = b"w" * 150_000_000
        def run(self, text: str) -> str:
            return text + str(len(self.weights))
    """
SMALL = "def run(text: str) -> str:\n    return text\n"
GATED = """
    import pathlib, time
    def run(text: str) -> str:
        pathlib.Path("running").touch()
        while not pathlib.Path("go").exists():
            time.sleep(0.005)
        return text
    """


class Machine:
    """Models by letter, a listener that remembers, and what was measured."""

    def __init__(self, provider: LocalProvider, home: Path) -> None:
        self.provider = provider
        self.home = home
        self.ready: dict[str, asyncio.Event] = {}
        self.broken: dict[str, str] = {}
        provider.listen(on_capacity=self._room, on_broken=self._broken)

    def _room(self, version: str) -> None:
        self.ready.setdefault(version, asyncio.Event()).set()

    def _broken(self, version: str, error: str, reason: str) -> None:
        self.broken[version] = f"{reason}: {error}"
        self._room(version)

    def add(self, name: str, code: str, **changes: Any) -> ModelSource:
        folder = self.home / name
        folder.mkdir()
        (folder / "run.py").write_text(textwrap.dedent(code))
        source = msgspec.structs.replace(load_source(folder, name=f"local/{name}"), **changes)
        self.provider.add(name, source)
        return source

    async def load(self, name: str) -> None:
        self.ready[name] = asyncio.Event()
        self.provider.request_capacity(name)
        await within(self.ready[name].wait())

    async def begin(self, name: str, text: str = "abc", key: str = "p1") -> str:
        while not self.provider.take_slot(name):
            await self.load(name)
        return await self._submit(name, text, key)

    async def _submit(self, name: str, text: str, key: str) -> str:
        from halley.dispatch.ports import Work

        given = msgspec.json.encode({"text": text})
        return await self.provider.submit(Work(prediction_id=key, attempt=1, version=name, model="a/b", input=given))

    async def end(self, handle: str) -> list[Any]:
        said: list[Any] = []
        outcome = await within(self.provider.follow(handle, said.append))
        assert outcome.status == "succeeded", outcome
        return outputs(said)

    async def run(self, name: str, text: str = "abc", key: str = "p1") -> list[Any]:
        return await self.end(await self.begin(name, text, key))

    def state(self, name: str) -> PoolState:
        return next(state for state in self.provider.states() if state.version == name)

    async def weighed(self, name: str) -> None:
        """Its size is known: it happens beside, soon after it is ready."""
        await until(lambda: name in self.provider._scheduler._sizes)

    def loaded(self) -> str:
        return "".join(s.version for s in self.provider.states() if s.doing in {"ready", "busy", "loading"})


@pytest.fixture
def machine(tmp_path: Path) -> Any:
    @asynccontextmanager
    async def opened(clock: Clock | None = None, **options: Any) -> AsyncIterator[Machine]:
        names = {field.name for field in msgspec.structs.fields(ReplicaRules)}
        rules = {name: options.pop(name) for name in list(options) if name in names}
        memory = {field.name for field in msgspec.structs.fields(MemoryRules)}
        provider = LocalProvider(
            clock=clock or SystemClock(),
            environ=process_environ(),
            rules=ReplicaRules(**{"look_seconds": 0.02, "backoff_first_seconds": 0.05} | rules),
            memory=MemoryRules(**{name: options.pop(name) for name in list(options) if name in memory}),
            **options,
        )
        async with provider:
            yield Machine(provider, tmp_path)

    return opened


class Scale:
    """Says what each model weighs, whatever it really does."""

    def __init__(self) -> None:
        self.machine: Machine | None = None
        self.weights: dict[str, int] = {}

    def __call__(self, pids: Sequence[int]) -> Mapping[int, int]:
        assert self.machine is not None
        of = {replica.pid: s.version for s in self.machine.provider.states() for replica in s.replicas}
        return {pid: self.weights.get(of.get(pid, ""), 0) for pid in pids}


async def test_three_models_of_150_mb_share_400_mb_of_measured_memory(machine) -> None:
    """Issue 3, must show 4: loads and unloads are seen, none while it runs, and every answer is right."""
    most, changes = 0, []
    async with machine(budget_bytes=400 * MB) as here:
        for name in "abc":
            here.add(name, LARGE)
        watching = True

        async def watch() -> None:
            nonlocal most
            while watching:
                pids = [replica.pid for state in here.provider.states() for replica in state.replicas]
                most = max(most, sum((await asyncio.to_thread(used_of, pids)).values()))
                if not changes or changes[-1] != here.loaded():
                    changes.append(here.loaded())
                await asyncio.sleep(0.01)

        looking = asyncio.create_task(watch())
        for turn, name in enumerate("abcabcbacc"):
            handle = await here.begin(name, f"{turn}:", f"p{turn}")
            pid = here.state(name).pid
            assert await here.end(handle) == [f"{turn}:150000000"]
            assert pid is not None
            assert here.state(name).pid == pid  # nobody took it away while it ran
        watching = False
        await looking
        seen = [here.state(name) for name in "abc"]
    assert most < 400 * MB
    assert max(map(len, changes)) == 2
    assert any(state.exit_reason == "unloaded" for state in seen)
    assert {"a", "b", "c"} <= set("".join(changes))
    assert not here.broken


async def test_memory_used_during_loading_is_not_counted_as_free(machine) -> None:
    scale = Scale()

    def slow(pids: Sequence[int]) -> Mapping[int, int]:
        time.sleep(0.15)  # the machine is busy: the next model is wanted before this one is measured
        return scale(pids)

    async with machine(budget_bytes=250 * MB, measure=slow) as here:
        scale.machine = here
        for name in "abc":
            here.add(name, SMALL)
            scale.weights[name] = 100 * MB
        for name in "abc":
            await here.run(name)
            assert len(here.loaded()) <= 2


async def test_the_least_recently_used_is_unloaded_first(machine) -> None:
    scale = Scale()
    async with machine(budget_bytes=250 * MB, measure=scale) as here:
        scale.machine = here
        for name in "abc":
            here.add(name, SMALL)
            scale.weights[name] = 100 * MB
        await here.run("a")
        await here.run("b")
        await here.run("a", key="p2")  # now b is the older one
        await here.run("c")
        assert here.loaded() == "ac"
        assert here.state("b").exit_text == "local/b: unloaded to make room for local/c."
        assert here.state("b").unexpected_exits == 0


async def test_who_is_pinned_stays_and_who_cannot_fit_beside_it_is_refused(machine) -> None:
    scale = Scale()
    async with machine(budget_bytes=250 * MB, measure=scale) as here:
        scale.machine = here
        here.add("a", SMALL, pinned=True)
        here.add("b", SMALL)
        here.add("c", SMALL)
        scale.weights = {"a": 150 * MB, "b": 90 * MB, "c": 90 * MB}
        await here.run("b")
        await here.weighed("b")
        await here.run("a")
        await here.run("c")
        assert here.loaded() == "ac"
        scale.weights["b"] = 0
        await here.run("b")  # it was measured once: 90 MB
        assert here.loaded() == "ab"


async def test_a_running_model_is_not_unloaded_and_a_waiting_one_says_why(machine) -> None:
    scale = Scale()
    async with machine(budget_bytes=150 * MB, measure=scale) as here:
        scale.machine = here
        here.add("a", GATED)
        here.add("b", SMALL)
        scale.weights = {"a": 100 * MB, "b": 100 * MB}
        handle = await here.begin("a")
        await until((here.home / "a" / "running").exists)
        await here.weighed("a")
        running = here.state("a").pid
        here.provider.request_capacity("b")
        await until(lambda: here.state("b").doing == "waiting_for_room")
        assert here.state("b").why == "waits for 100 MB of memory, held by local/a"
        assert (here.state("a").pid, here.loaded()) == (running, "a")
        (here.home / "a" / "go").touch()
        assert await here.end(handle) == ["abc"]
        assert await here.run("b", "after") == ["after"]
        assert here.loaded() == "b"


async def test_a_model_that_is_always_busy_is_draining_after_its_turn(machine) -> None:
    scale = Scale()
    async with machine(budget_bytes=150 * MB, measure=scale, turn_seconds=0.05) as here:
        scale.machine = here
        here.add("a", GATED, replicas=1)
        here.add("b", SMALL)
        scale.weights = {"a": 100 * MB, "b": 100 * MB}
        handle = await here.begin("a")
        await here.weighed("a")
        here.ready["b"] = asyncio.Event()
        here.provider.request_capacity("b")
        here.provider.request_capacity("a")  # more is waiting for it already
        await until(lambda: here.provider.free_slots("a") == 0 and here.state("b").why is not None)
        pool, pid = here.provider._pools["a"], here.state("a").pid
        await until(lambda: pool._is_draining)
        (here.home / "a" / "go").touch()
        await here.end(handle)
        await within(here.ready["b"].wait())
        assert here.state("a").pid != pid


async def test_models_that_load_longer_than_a_turn_still_get_theirs(machine) -> None:
    scale = Scale()
    slow = SMALL + "import time\ntime.sleep(0.2)\n"
    async with machine(budget_bytes=150 * MB, measure=scale, turn_seconds=0.05) as here:
        scale.machine = here
        here.add("a", slow)
        here.add("b", slow)
        scale.weights = {"a": 100 * MB, "b": 100 * MB}
        await here.run("a")
        await here.weighed("a")
        told: list[str] = []

        def again(version: str) -> None:
            told.append(version)
            here.provider.request_capacity(version)

        here.provider.listen(on_capacity=again, on_broken=here._broken)
        here.provider.request_capacity("a")
        here.provider.request_capacity("b")
        await until(lambda: told.count("b") and "a" in told[told.index("b") :])
        assert not here.broken


async def test_a_model_larger_than_the_whole_budget_is_refused_with_both_figures(machine) -> None:
    async with machine(budget_bytes=100 * MB) as here:
        here.add("a", LARGE.replace('b"w" * 150_000_000', "grow()") + GROW)
        await here.load("a")
        assert here.broken["a"].startswith("out_of_memory: local/a")
        assert "the budget of all models, 100 MB (memory.budget_bytes)" in here.broken["a"]
        assert here.loaded() == ""


GROW = """
    import time
    def grow():
        held = []
        for _ in range(1000):
            held.append(b"w" * 10_000_000)
            time.sleep(0.02)
    """


async def test_an_unused_model_is_unloaded_after_the_configured_time(machine) -> None:
    async with machine(idle_unload_seconds=0.05) as here:
        here.add("a", SMALL)
        here.add("b", SMALL, pinned=True)
        handle = await here.begin("a")
        pid = here.state("a").pid
        await here.end(handle)
        await here.run("b")
        await until(lambda: here.loaded() == "b")
        assert pid is not None
        await until(lambda: not alive(pid) and here.state("a").exit_text is not None)
        assert here.state("a").exit_text == "local/a: unloaded, unused for 0.05 s."
        assert await here.run("a", "again") == ["again"]


async def test_a_sync_model_runs_in_as_many_replicas_as_were_set(machine) -> None:
    async with machine() as here:
        here.add("a", GATED, replicas=3)
        here.provider.preload("a")
        await until(lambda: here.provider.free_slots("a") == 3)
        handles = [await here.begin("a", f"{n}", f"p{n}") for n in range(3)]
        assert not here.provider.take_slot("a")
        assert sorted(replica.running for replica in here.state("a").replicas) == [1, 1, 1]
        (here.home / "a" / "go").touch()
        assert [await here.end(handle) for handle in handles] == [["0"], ["1"], ["2"]]


async def test_one_dead_replica_of_several_takes_only_its_own_predictions(machine) -> None:
    async with machine() as here:
        here.add("a", GATED, replicas=2)
        here.provider.preload("a")
        await until(lambda: here.provider.free_slots("a") == 2)
        first = await here.begin("a", "x", "p1")
        second = await here.begin("a", "y", "p2")
        here.provider._pools["a"]._replicas[0]._child.kill()
        (here.home / "a" / "go").touch()
        outcomes = [await within(here.provider.follow(handle, lambda _: None)) for handle in (first, second)]
        assert sorted(outcome.status for outcome in outcomes) == ["failed", "succeeded"]
        await until(lambda: here.provider.free_slots("a") == 2)  # nobody had to ask


async def test_a_retired_version_finishes_its_runs_and_ends(machine) -> None:
    async with machine() as here:
        here.add("a", GATED)
        handle = await here.begin("a")
        retiring = asyncio.create_task(here.provider.retire("a"))
        await until((here.home / "a" / "running").exists)
        assert not retiring.done()
        (here.home / "a" / "go").touch()
        assert await here.end(handle) == ["abc"]
        assert await within(retiring)
        assert here.provider.states() == []


async def test_models_get_a_device_each_and_the_idle_one_goes(machine) -> None:
    card = Device(id="GPU-1", name="Toy", memory_bytes=1000 * MB)

    async def find() -> list[Device]:
        return [card]

    code = "import os\ndef run(text: str) -> str:\n    return os.environ.get('CUDA_VISIBLE_DEVICES', 'none')\n"
    async with machine(find_devices=find) as here:
        here.add("a", code, build={"gpu": True})
        here.add("b", code, gpu_memory_bytes=600 * MB)
        here.add("c", code, gpu_memory_bytes=400 * MB)
        here.add("d", code, gpu_memory_bytes=2000 * MB)
        here.add("e", code)
        assert await here.run("a") == ["GPU-1"]
        assert await here.run("b") == ["GPU-1"]
        assert here.loaded() == "b"  # a wanted the whole device
        assert await here.run("c") == ["GPU-1"]
        assert here.loaded() == "bc"
        assert await here.run("e") != ["GPU-1"]
        await here.load("d")
        assert "needs 2,000 MB of GPU memory (gpu_memory); the largest device has 1,000 MB" in here.broken["d"]
        assert here.state("c").replicas[0].device == "Toy (GPU-1)"


async def test_an_idle_process_that_does_not_answer_is_replaced(machine) -> None:
    import os
    import signal

    async with machine(health_check_seconds=0.02, health_timeout_seconds=0.1) as here:
        here.add("a", SMALL)
        await here.run("a")
        pid = here.state("a").pid
        assert pid is not None
        os.kill(descendants(pid)[1], signal.SIGSTOP)
        await until(lambda: here.state("a").pid not in {None, pid} and here.provider.free_slots("a") == 1)
        assert here.state("a").exit_reason == "unresponsive"
        assert here.state("a").unexpected_exits == 1
        assert "did not answer for 0.1 s" in (here.state("a").exit_text or "")
        assert await here.run("a", "fresh") == ["fresh"]


async def test_memory_of_a_process_is_that_of_all_it_started(machine) -> None:
    code = """
        import subprocess, sys
        class Runner:
            def setup(self):
                hold = "x = b'w' * 50_000_000; print('held', flush=True); input()"
                self.child = subprocess.Popen([sys.executable, "-c", hold], stdin=-1, stdout=-1, start_new_session=True)
                self.child.stdout.readline()
            def run(self, text: str) -> str:
                return text
        """
    async with machine() as here:
        here.add("a", code)
        await here.run("a")
        (state,) = await here.provider.measured_states()
        assert state.replicas[0].memory_bytes > 50 * MB
        assert state.pid is not None
        assert used_bytes(state.pid) > 50 * MB


async def test_a_version_that_comes_back_while_it_retires_goes_on(machine) -> None:
    async with machine() as here:
        source = here.add("a", GATED)
        handle = await here.begin("a")
        retiring = asyncio.create_task(here.provider.retire("a"))
        await until((here.home / "a" / "running").exists)
        here.provider.add("a", source)
        (here.home / "a" / "go").touch()
        assert await here.end(handle) == ["abc"]
        assert await within(retiring) is False
        assert here.loaded() == "a"


async def test_an_idle_model_that_says_it_is_unhealthy_is_replaced(machine) -> None:
    code = """
        import os
        class Runner:
            def run(self, text: str) -> str:
                return text
            def healthcheck(self) -> bool:
                return not os.path.exists("ill")
        """
    async with machine(health_check_seconds=0.02) as here:
        here.add("a", code)
        await here.run("a")
        pid = here.state("a").pid
        ill = here.home / "a" / "ill"
        ill.touch()
        await until(lambda: here.state("a").exit_reason == "unhealthy")
        ill.unlink()
        await until(lambda: here.state("a").pid not in {None, pid} and here.provider.free_slots("a") == 1)
        assert "its healthcheck failed (healthcheck returned False)" in (here.state("a").exit_text or "")


async def test_without_a_budget_idle_models_are_unloaded_and_none_waits(machine, tmp_path) -> None:
    scale = Scale()
    scale.weights = dict.fromkeys("abc", 60)
    async with machine(measure=scale, budget_bytes=100, is_short=lambda: True) as here:
        scale.machine = here
        here.add("a", SMALL)
        here.add("b", SMALL)
        here.add("c", GATED)
        running = await here.begin("c", key="gated")
        await until((tmp_path / "c" / "running").exists)
        for name in "aba":
            assert await here.run(name) == ["abc"]  # beside one that runs, although both are too much
            await here.weighed(name)
        await until(lambda: sorted(here.loaded()) in (["c"], ["a", "c"]))  # an idle one goes, the one that runs stays
        (tmp_path / "c" / "go").touch()
        assert await here.end(running) == ["abc"]
        assert here.broken == {}


async def test_without_a_budget_a_model_larger_than_its_share_runs(machine) -> None:
    scale = Scale()
    scale.weights = {"a": 150}
    async with machine(measure=scale, budget_bytes=100, is_short=lambda: True) as here:
        scale.machine = here
        here.add("a", SMALL)
        for key in ("p1", "p2"):
            assert await here.run("a", key=key) == ["abc"]
            await here.weighed("a")
            await asyncio.sleep(0.1)
        assert here.broken == {}
