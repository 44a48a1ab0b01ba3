"""How replicas load, fail to load and die, and what they may read of the server."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import textwrap

import msgspec
import pytest

from halley.replicas.memory import descendants
from halley.testing.providers import outputs, within
from unit.replicas.processes import V, alive, until

pytestmark = pytest.mark.anyio

FINE = "def run(text: str) -> str:\n    return text\n"
DAEMON = """
    import os, subprocess, sys, time
    def run(text: str) -> str:
        # a child in a session of its own, whose parent has gone: nobody's, and in nobody's group
        away = "import os, time; print(os.getpid(), flush=True); time.sleep(1000)"
        code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {away!r}], start_new_session=True)"
        child = subprocess.Popen([sys.executable, "-c", code], stdout=-1)
        pid = child.stdout.readline().decode().strip()
        child.wait()
        if text == "die":
            open("daemon", "w").write(pid)
            os.abort()
        return pid
    """


async def test_a_failed_setup_is_reported_with_its_output_and_traceback(model, serve) -> None:
    source = model("""
        class Runner:
            def setup(self):
                print("looking for weights")
                raise FileNotFoundError("weights.bin")
            def run(self, text: str) -> str:
                return text
        """)
    async with serve(source) as served:
        served.provider.request_capacity(V)
        _, error, reason = await within(served.broken.get())
        assert reason == "setup_failed"
        assert "local/model: setup() failed: FileNotFoundError: weights.bin" in error
        assert "looking for weights" in error
        assert "in setup" in error
        (state,) = served.provider.states()
        assert (state.doing, state.error) == ("unloaded", error)


async def test_a_model_that_cannot_be_imported_says_why(model, serve) -> None:
    async with serve(model("import nonsense_that_is_not_there\n")) as served:
        served.provider.request_capacity(V)
        _, error, reason = await within(served.broken.get())
        assert reason == "setup_failed"
        assert "nonsense_that_is_not_there" in error


async def test_a_process_that_dies_in_setup_says_how(model, serve) -> None:
    source = model("""
        import os
        class Runner:
            def setup(self):
                print("so far so good", flush=True)
                os.kill(os.getpid(), 9)
            def run(self, text: str) -> str:
                return text
        """)
    async with serve(source) as served:
        served.provider.request_capacity(V)
        _, error, reason = await within(served.broken.get())
        assert reason == "setup_failed"
        assert "killed by signal 9 (SIGKILL" in error
        assert "while loading the model" in error


async def test_an_endless_setup_is_ended(model, serve) -> None:
    source = model("""
        import time
        class Runner:
            def setup(self):
                print("loading 1 of 1000", flush=True)
                time.sleep(1000)
            def run(self, text: str) -> str:
                return text
        """)
    async with serve(source, setup_timeout_seconds=600.0) as served:
        served.provider.request_capacity(V)
        await within(served.printed.is_there.wait())
        pid = served.pid
        served.advance(601)
        _, error, reason = await within(served.broken.get())
        assert reason == "setup_timeout"
        assert "setup() was not done after 600 s" in error
        assert "loading 1 of 1000" in error
        assert not alive(pid)


async def test_an_interpreter_that_is_not_there_breaks_the_version(model, serve) -> None:
    async with serve(model(FINE, python="/nowhere/python")) as served:
        served.provider.request_capacity(V)
        _, error, reason = await within(served.broken.get())
        assert reason == "setup_failed"
        assert "/nowhere/python" in error


async def test_after_a_failed_setup_the_next_try_waits_ever_longer(model, serve, tmp_path) -> None:
    source = model("""
        import os
        class Runner:
            def setup(self):
                if not os.path.exists("weights"):
                    raise RuntimeError("no weights")
            def run(self, text: str) -> str:
                return text
        """)
    async with serve(source, backoff_first_seconds=1.0) as served:
        for pause in (0.0, 1.0, 2.0):
            served.provider.request_capacity(V)
            await asyncio.sleep(0)
            if pause:
                assert served.provider.states()[0].doing == "waiting_to_retry"
                served.advance(pause - 0.1)
                await asyncio.sleep(0)
                assert served.provider.states()[0].doing == "waiting_to_retry"
                served.advance(0.2)
            await within(served.broken.get())
        (tmp_path / "model" / "weights").touch()
        served.provider.request_capacity(V)
        await asyncio.sleep(0)
        served.advance(4.1)
        assert await within(served.rooms.get()) == V
        assert served.provider.states()[0].error is None


async def test_a_replica_killed_while_idle_is_loaded_again_on_request(model, serve) -> None:
    async with serve(model(FINE)) as served:
        await served.run(V)
        os.kill(served.pid, signal.SIGKILL)
        await until(lambda: served.provider.free_slots(V) == 0)
        served.provider.request_capacity(V)
        await asyncio.sleep(0)
        served.advance(1.1)  # one death costs a short pause
        await within(served.rooms.get())
        said, outcome = await served.run(V, "again", "p2")
        assert (outputs(said), outcome.status) == (["again"], "succeeded")


async def test_a_replica_killed_while_idle_is_loaded_again_without_a_request(model, serve) -> None:
    async with serve(model(FINE), backoff_first_seconds=1.0) as served:
        await served.run(V)
        for pause in (1.0, 2.0, 4.0, 8.0, 16.0):
            os.kill(served.pid, signal.SIGKILL)
            await until(lambda: served.provider.states()[0].doing == "waiting_to_retry")
            served.advance(pause + 0.1)
            await until(lambda: served.provider.free_slots(V) == 1)
        os.kill(served.pid, signal.SIGKILL)  # it dies again and again, and nobody uses it
        await until(lambda: served.provider.states()[0].doing == "unloaded")
        served.provider.request_capacity(V)
        await asyncio.sleep(0)
        served.advance(30.1)
        await within(served.rooms.get())


async def test_a_slot_held_across_a_death_is_refused_and_given_back(model, serve) -> None:
    async with serve(model(FINE)) as served:
        await served.load(V)
        assert served.provider.take_slot(V)
        os.kill(served.pid, signal.SIGKILL)
        await until(lambda: served.provider.states()[0].pid is None)
        with pytest.raises(Exception, match="ended before the prediction began"):
            await served.provider.submit(_work())
        served.provider.drop_slot(V)
        served.provider.request_capacity(V)
        await asyncio.sleep(0)
        served.advance(1.1)
        await within(served.rooms.get())
        assert served.provider.free_slots(V) == 1


async def test_a_preloaded_model_is_ready_before_anybody_asks(model, serve) -> None:
    async with serve(model(FINE)) as served:
        served.provider.preload(V)
        await until(lambda: served.provider.free_slots(V) == 1)
        assert served.rooms.empty()


async def test_the_model_sees_nothing_of_our_secrets(model, serve) -> None:
    source = model(
        """
        import os
        def run(text: str) -> dict:
            return dict(os.environ)
        """,
        {"cog.yaml": "run: run.py\nenvironment:\n  - WEIGHTS=here\n"},
    )
    planted = {
        "HALLEY_ADMIN_KEY": "s3cret", "REPLICATE_API_TOKEN": "s3cret", "HF_TOKEN": "s3cret",
        "AWS_SECRET_ACCESS_KEY": "s3cret", "PYTHONPATH": "/s3cret", "CUDA_VISIBLE_DEVICES": "0", "LC_ALL": "C.UTF-8",
    }  # fmt: skip
    async with serve(source, environ=planted) as served:
        said, _ = await served.run(V)
        (seen,) = outputs(said)
        assert "s3cret" not in str(seen)
        assert (seen["WEIGHTS"], seen["CUDA_VISIBLE_DEVICES"], seen["LC_ALL"]) == ("here", "0", "C.UTF-8")
        assert "PATH" in seen


async def test_a_model_runs_in_its_own_folder_and_group(model, serve, tmp_path) -> None:
    source = model("import os\ndef run(text: str) -> list:\n    return [os.getcwd(), os.getpgid(0)]\n")
    async with serve(source) as served:
        said, _ = await served.run(V)
        assert outputs(said) == [[str(tmp_path / "model"), served.pid]]
        assert os.getpgid(0) != served.pid


async def test_closing_ends_every_process(model, serve) -> None:
    async with serve(model(FINE)) as served:
        await served.load(V)
        pid = served.pid
    assert not alive(pid)


async def test_closing_ends_one_that_is_still_loading(model, serve) -> None:
    source = model("import time\nprint('importing', flush=True)\ntime.sleep(1000)\n")
    async with serve(source) as served:
        served.provider.request_capacity(V)
        await within(served.printed.is_there.wait())
        pid = served.pid
    assert not alive(pid)


async def test_what_became_a_daemon_ends_with_the_replica(model, serve) -> None:
    async with serve(model(DAEMON)) as served:
        said, _ = await served.run(V)
        daemon = int(outputs(said)[0])
        assert alive(daemon)
        assert daemon in descendants(served.pid)
    assert not alive(daemon)


async def test_what_became_a_daemon_ends_with_a_model_that_crashes(model, serve, tmp_path) -> None:
    async with serve(model(DAEMON)) as served:
        _, outcome = await served.run(V, "die")
        assert "signal 6 (SIGABRT" in (outcome.error or "")
        assert not alive(int((tmp_path / "model" / "daemon").read_text()))


@pytest.mark.fault
async def test_a_replica_dies_with_a_server_that_is_killed(model) -> None:
    source = model(DAEMON)
    code = f"""
        import asyncio
        from pathlib import Path
        from halley.clock import SystemClock
        from halley.dispatch.ports import Work
        from halley.providers.local import LocalProvider
        from halley.replicas.loading import load_source
        async def main():
            async with LocalProvider(clock=SystemClock(), environ={{}}) as provider:
                room = asyncio.Event()
                provider.listen(on_capacity=lambda _: room.set(), on_broken=print)
                provider.add("v", load_source(Path({str(source.folder)!r})))
                provider.request_capacity("v")
                await room.wait()
                provider.take_slot("v")
                work = Work(prediction_id="p", attempt=1, version="v", model="a/b", input=b'{{"text": ""}}')
                outputs = []
                await provider.follow(await provider.submit(work), outputs.append)
                print(provider.states()[0].pid, bytes(outputs[0].value), flush=True)
                await asyncio.sleep(1000)
        asyncio.run(main())
        """
    server = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        line = (await within(asyncio.to_thread(server.stdout.readline))).decode()
        supervisor, daemon = (int(word) for word in re.findall(r"\d+", line))
        pids = {*descendants(supervisor), daemon}
        assert len(pids) == 3
        assert all(map(alive, pids))
    finally:
        server.kill()
        server.communicate()
    await until(lambda: not any(map(alive, pids)))


def _work():
    from halley.dispatch.ports import Work

    given = msgspec.json.encode({"text": "abc"})
    return Work(prediction_id="p1", attempt=1, version=V, model="test/model", input=given)
