"""Predictions in real model processes: what goes in, what comes out, and how they end."""

import asyncio
from pathlib import Path

import pytest

from halley.clock import SystemClock
from halley.dispatch.ports import LogText, MetricValue, OutputPart, Work
from halley.errors import Conflict, TooLarge
from halley.testing.providers import logs, outputs, within
from unit.replicas.processes import V, alive, until

pytestmark = pytest.mark.anyio

DEAF = """
    import time
    def run(text: str) -> str:
        print("begun")
        while text == "stubborn":
            try:
                time.sleep(0.01)
            except BaseException:
                pass
        return text
    """


async def test_metrics_and_files_pass(model, serve, tmp_path: Path) -> None:
    source = model("""
        from cog import BaseRunner, Path
        class Runner(BaseRunner):
            def run(self, picture: Path) -> Path:
                self.record_metric("size", picture.stat().st_size)
                out = Path("out.txt")
                out.write_text(picture.read_text().upper())
                return out
        """)
    (tmp_path / "in.txt").write_text("abc")
    (tmp_path / "run").mkdir()
    async with serve(source) as served:
        await served.load(V)
        assert served.provider.take_slot(V)
        handle = await served.provider.submit(
            Work(
                prediction_id="p1",
                attempt=1,
                version=V,
                model="test/model",
                input=b'{"picture": "%s"}' % bytes(tmp_path / "in.txt"),
                paths=(("picture",),),
                folder=str(tmp_path / "run"),
            )
        )
        said, outcome = await served.follow(handle)
        assert outcome.status == "succeeded", outcome
        assert [(m.name, m.value, m.mode) for m in said if isinstance(m, MetricValue)] == [("size", 3, "replace")]
        (part,) = [part for part in said if isinstance(part, OutputPart)]
        assert part.paths == ((),)
        assert Path(outputs(said)[0]).read_text() == "ABC"


async def test_the_traceback_of_a_failure_is_in_the_logs(model, serve) -> None:
    source = model("def run(x: int) -> int:\n    print('before')\n    return 1 // x\n")
    async with serve(source) as served:
        await served.load(V)
        assert served.provider.take_slot(V)
        handle = await served.provider.submit(
            Work(prediction_id="p", attempt=1, version=V, model="test/model", input=b'{"x": 0}')
        )
        said, outcome = await served.follow(handle)
        assert (outcome.status, outcome.reason) == ("failed", "model_error")
        assert "ZeroDivisionError" in (outcome.error or "")
        assert logs(said).startswith("before\n")
        assert "Traceback" in logs(said)


async def test_a_run_that_ignores_its_cancel_is_ended_by_force_after_the_grace(model, serve) -> None:
    async with serve(model(DEAF)) as served:
        await served.load(V)
        handle = await served.begin(V, "stubborn")
        begun = asyncio.Event()
        following = asyncio.ensure_future(served.provider.follow(handle, lambda _: begun.set()))
        await within(begun.wait())
        pid = served.pid
        served.provider.cancel(handle)
        await asyncio.sleep(0)
        served.advance(4.9)
        await asyncio.sleep(0)
        assert alive(pid)
        served.advance(0.2)
        outcome = await within(following)
        assert (outcome.status, outcome.reason) == ("canceled", "cancel_forced")
        assert not alive(pid)
        said, outcome = await served.run(V, "next", "p2")  # in a new process, at once
        assert (outputs(said), outcome.status) == (["next"], "succeeded")


async def test_a_run_that_obeys_keeps_its_process(model, serve) -> None:
    source = model("""
        import time
        def run(text: str) -> str:
            while text == "long":
                time.sleep(0.01)
            return text
        """)
    async with serve(source) as served:
        await served.load(V)
        pid = served.pid
        handle = await served.begin(V, "long")
        served.provider.cancel(handle)
        _, outcome = await served.follow(handle)
        assert (outcome.status, outcome.reason) == ("canceled", None)
        served.advance(60)  # the grace of a run that has ended is nobody's end
        _, outcome = await served.run(V, "next", "p2")
        assert (outcome.status, served.pid) == ("succeeded", pid)


async def test_other_runs_of_a_killed_process_are_distinguished(model, serve) -> None:
    source = model("""
        import asyncio, time
        from cog import concurrent
        @concurrent(max=2)
        async def run(text: str) -> str:
            if text == "stubborn":
                print("stubborn from here on")
                time.sleep(1000)
            await asyncio.sleep(1000)
            return text
        """)
    async with serve(source) as served:
        await served.load(V)
        other, stubborn = await served.begin(V, "other", "p1"), await served.begin(V, "stubborn", "p2")
        begun = asyncio.Event()
        following = [
            asyncio.ensure_future(served.provider.follow(other, lambda _: None)),
            asyncio.ensure_future(served.provider.follow(stubborn, lambda _: begun.set())),
        ]
        await within(begun.wait())
        served.provider.cancel(stubborn)
        await asyncio.sleep(0)
        served.advance(5.1)
        second = await within(following[1])
        assert (second.status, second.reason, second.shared) == ("canceled", "cancel_forced", False)
        assert served.provider.free_slots(V) == 0  # the next process is on its way
        while not following[0].done():  # its loop does not turn: nobody can be waited for
            served.advance(1)
            await asyncio.sleep(0.01)
        first = await following[0]
        assert (first.status, first.reason, first.shared) == ("failed", "replica_died", True)
        assert "did not stop within 5 s of the request to stop" in (first.error or "")


async def test_a_segmentation_fault_is_named(model, serve) -> None:
    source = model("""
        import ctypes, time
        def run(text: str) -> str:
            print("going down")
            if text == "crash":
                time.sleep(0.2)  # the runner gathers log text for 50 ms
                ctypes.string_at(0)
            return text
        """)
    async with serve(source) as served:
        said, outcome = await served.run(V, "crash")
        assert (outcome.status, outcome.reason) == ("failed", "replica_died")
        error = outcome.error or ""
        assert "killed by signal 11 (SIGSEGV, segmentation fault) while running this prediction" in error
        assert "run.py" in error  # the last words: where it was
        assert "going down" in logs(said)
        _, outcome = await served.run(V, "fine", "p2")  # no pause: work waits
        assert outcome.status == "succeeded"


async def test_an_exit_is_named(model, serve) -> None:
    async with serve(model("import os\ndef run(text: str) -> str:\n    os._exit(7)\n")) as served:
        _, outcome = await served.run(V)
        assert (outcome.status, outcome.reason) == ("failed", "replica_died")
        assert "exited with code 7 while running this prediction" in (outcome.error or "")


async def test_a_model_over_its_memory_is_ended_with_figures(model, serve) -> None:
    source = model(
        """
        import time
        def run(text: str) -> str:
            mine = b"x" * 120_000_000
            time.sleep(1000)
            return text
        """,
        memory_limit_bytes=80_000_000,
    )
    async with serve(source, clock=SystemClock(), memory_check_seconds=0.01) as served:
        _, outcome = await served.run(V)
        assert (outcome.status, outcome.reason) == ("failed", "out_of_memory")
        assert (outcome.error or "").startswith("out of memory: used ")
        assert "of its 80 MB limit" in (outcome.error or "")


async def test_a_model_over_its_memory_while_it_loads_breaks_the_version(model, serve) -> None:
    source = model(
        """
        import time
        weights = b"x" * 120_000_000
        time.sleep(1000)
        """,
        memory_limit_bytes=80_000_000,
    )
    async with serve(source, clock=SystemClock(), memory_check_seconds=0.01) as served:
        served.provider.request_capacity(V)
        _, error, reason = await within(served.broken.get())
        assert reason == "out_of_memory"
        assert "of its 80 MB limit" in error


async def test_memory_of_children_counts(model, serve) -> None:
    source = model(
        """
        import subprocess, sys
        def run(text: str) -> str:
            subprocess.run([sys.executable, "-c", "import time; mine = b'x' * 120_000_000; time.sleep(1000)"])
            return text
        """,
        memory_limit_bytes=80_000_000,
    )
    async with serve(source, clock=SystemClock(), memory_check_seconds=0.01) as served:
        _, outcome = await served.run(V)
        assert outcome.reason == "out_of_memory"


async def test_no_child_processes_remain(model, serve) -> None:
    """Neither those in the group nor those that left it."""
    source = model("""
        import subprocess, time
        def run(text: str) -> str:
            for apart in (False, True):
                print(subprocess.Popen(["sleep", "1000"], start_new_session=apart).pid)
            print("begun")
            while True:
                try:
                    time.sleep(0.01)
                except BaseException:
                    pass
        """)
    async with serve(source, cancel_grace_seconds=0.05, clock=SystemClock()) as served:
        await served.load(V)
        handle = await served.begin(V)
        said, begun = "", asyncio.Event()

        def hear(progress) -> None:
            nonlocal said
            assert isinstance(progress, LogText)
            said += progress.text
            if "begun" in said:
                begun.set()

        following = asyncio.ensure_future(served.provider.follow(handle, hear))
        await within(begun.wait())
        pids = [int(line) for line in said.split() if line.isdigit()]
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
        served.provider.cancel(handle)
        await within(following)
        await until(lambda: not any(alive(pid) for pid in pids))


async def test_children_of_a_model_that_crashes_go_with_it(model, serve) -> None:
    source = model("""
        import os, subprocess, time
        def run(text: str) -> str:
            print(subprocess.Popen(["sleep", "1000"]).pid)
            time.sleep(0.2)  # the runner gathers log text for 50 ms
            os.abort()
        """)
    async with serve(source) as served:
        said, outcome = await served.run(V)
        assert "SIGABRT" in (outcome.error or "")
        pid = int(logs(said).split()[0])
        await until(lambda: not alive(pid))


async def test_a_second_attempt_beside_the_first_is_refused(model, serve) -> None:
    source = model("""
        import asyncio
        from cog import concurrent
        @concurrent(max=2)
        async def run(text: str) -> str:
            await asyncio.sleep(1000)
            return text
        """)
    async with serve(source) as served:
        await served.load(V)
        await served.begin(V)
        with pytest.raises(Conflict, match="p1 still runs"):
            await served.begin(V)
        assert served.provider.free_slots(V) == 0  # the slot is still held
        served.provider.drop_slot(V)
        assert served.provider.free_slots(V) == 1


async def test_an_input_beyond_the_frame_limit_is_refused_before_it_begins(model, serve) -> None:
    async with serve(model(DEAF)) as served:
        await served.load(V)
        with pytest.raises(TooLarge, match="limit of 67,108,864"):
            await served.begin(V, "x" * (64 * 2**20))
        served.provider.drop_slot(V)
        _, outcome = await served.run(V)
        assert outcome.status == "succeeded"


async def test_megabytes_pass_both_ways(model, serve) -> None:
    async with serve(model(DEAF)) as served:
        text = "ä" * 5_000_000
        said, outcome = await served.run(V, text)
        assert outcome.status == "succeeded"
        assert outputs(said) == [text]


async def test_a_run_that_the_server_leaves_behind_may_be_tried_again(model, serve) -> None:
    async with serve(model(DEAF)) as served:
        await served.load(V)
        handle = await served.begin(V, "stubborn")
        begun = asyncio.Event()
        following = asyncio.ensure_future(served.provider.follow(handle, lambda _: begun.set()))
        await within(begun.wait())
        pid = served.pid
        await within(served.provider.remove(V))  # it is stubborn: bounded all the same
        outcome = await within(following)
        assert (outcome.status, outcome.reason) == ("failed", "worker_lost")
        assert not alive(pid)
        assert served.provider.free_slots(V) == 0
