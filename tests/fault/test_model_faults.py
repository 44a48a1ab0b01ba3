"""Whatever a model does ends one prediction, with a reason that a person understands, and hurts nobody else.

One server for all of them. While each fault goes on a neighbour answers, and afterwards nothing of it is left: no
process, no file, no memory.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
from process import Halley

from fault.runners import left_of

pytestmark = [pytest.mark.fault, pytest.mark.slow]

MODELS: Final = Path(__file__).parent / "models_faults"
PATIENCE_SECONDS: Final = 120.0
ITEMS_LIMIT: Final = 2000
LOG_LIMIT_BYTES: Final = 2**20
OUTPUT_LIMIT_BYTES: Final = 2**20
METRIC_LIMIT_BYTES: Final = 2**16
SERVER_GROWTH_MB: Final = 60  # what a server may weigh more after all this than before
SETTINGS: Final = {
    "memory": 'memory_limit_bytes = "150MB"',
    "hangs": "run_timeout_seconds = 2",
    "steady": "preload = true",
}
CONFIG: Final = f"""
[server]
access_log = false
[runs]
cancel_grace_seconds = 0.5
[limits]
output_events = {ITEMS_LIMIT}
output_bytes = {OUTPUT_LIMIT_BYTES}
log_bytes = {LOG_LIMIT_BYTES}
metric_bytes = {METRIC_LIMIT_BYTES}
"""


class World:
    """A server with one model for each fault, and what its machine looks like from outside."""

    def __init__(self, home: Path) -> None:
        self.home = home
        config = CONFIG + f'[models."faults/unlimited"]\npath = "{home}/unlimited.py"\n'
        (home / "unlimited.py").write_bytes((MODELS / "hangs.py").read_bytes())
        config += f'[models."faults/nap"]\npath = "{MODELS.parent / "models" / "nap"}"\n'
        for path in sorted(MODELS.glob("*.py")):
            if path.stem != "setups":
                config += f'[models."faults/{path.stem}"]\npath = "{path}"\n{SETTINGS.get(path.stem, "")}\n'
        for how in ("raise", "exit", "crash", "hang"):
            folder = home / f"setup-{how}"
            folder.mkdir()
            (folder / "predict.py").write_bytes((MODELS / "setups.py").read_bytes())
            patience = "x-halley:\n  setup_timeout: 2s\n" if how == "hang" else ""
            (folder / "cog.yaml").write_text(f"run: predict.py:Runner\nenvironment: [HOW={how}]\n{patience}")
            config += f'[models."faults/setup-{how}"]\npath = "{folder}"\n'
        self.halley = Halley(home, "--no-demo", config=config)

    def create(self, model: str, **given: Any) -> str:
        status, _, body = self.halley.call("POST", f"/v1/models/faults/{model}/predictions", {"input": given})
        assert status == 201, body
        return str(body["id"])

    def get(self, prediction_id: str) -> Any:
        status, _, body = self.halley.call("GET", f"/v1/predictions/{prediction_id}")
        assert status == 200, body
        return body

    def ended(self, prediction_id: str) -> Any:
        def is_over() -> bool:
            return self.get(prediction_id)["status"] not in {"starting", "processing"}

        self.wait_until(f"{prediction_id} has ended", is_over)
        return self.get(prediction_id)

    def run(self, model: str, **given: Any) -> Any:
        """Let it happen; the neighbour answers meanwhile and afterwards, and a terminal status never changes."""
        made = self.create(model, **given)
        self.check_neighbour("meanwhile")
        ended = self.ended(made)
        self.check_neighbour("afterwards")
        assert self.get(made)["status"] == ended["status"]
        assert ended["completed_at"] is not None
        return ended

    def check_neighbour(self, text: str) -> None:
        answer = self.ended(self.create("steady", text=text))
        assert (answer["status"], answer["output"]) == ("succeeded", text.upper()), answer

    def cancel(self, prediction_id: str) -> None:
        status, _, body = self.halley.call("POST", f"/v1/predictions/{prediction_id}/cancel")
        assert (status, body["status"]) == (200, "canceled")

    def wait_until(self, what: str, is_so: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            assert time.monotonic() < end, f"it is never so that {what}:\n{self.halley.log()}"
            time.sleep(0.02)

    def processes(self, mark: str) -> list[psutil.Process]:
        """Processes with this text in their arguments or environment, the server itself left out."""
        assert self.halley.process is not None
        return [each for each in psutil.process_iter() if each.pid != self.halley.process.pid and _has(each, mark)]

    def replicas(self, model: str) -> list[psutil.Process]:
        """Processes that have this model loaded, each with its supervisor before it."""
        found = [each for each in self.processes(f'"ref":"{model}.py') if _has(each, "serve")]
        return sorted(found, key=lambda each: each.pid)

    def check_replaced(self, model: str) -> None:
        """The process is gone; there may be the next one, which comes only after it, with its supervisor."""
        self.wait_until(f"one process at most has {model} loaded", lambda: len(self.replicas(model)) <= 2)

    def files(self) -> list[str]:
        """What lies in the folders that belong to runs and to drafts."""
        data = self.home / "data"
        places = [data / "runs", data / "blobs" / "tmp"]
        return [str(path) for place in places if place.exists() for path in place.iterdir()]

    def check_no_file_left(self) -> None:
        self.wait_until(f"its folders are empty: {self.files()}", lambda: not self.files())

    def pss_mb(self) -> float:
        assert self.halley.process is not None
        return float(psutil.Process(self.halley.process.pid).memory_full_info().pss / 1e6)


def _has(process: psutil.Process, mark: str) -> bool:
    try:
        return mark in " ".join(process.cmdline()) or any(mark in value for value in process.environ().values())
    except (psutil.Error, OSError):  # gone, or not ours
        return False


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """At the end the server stops, and with it every process that was ever started for it."""
    made = World(tmp_path_factory.mktemp("faults"))
    with made.halley:
        made.check_neighbour("first")
        before = made.pss_mb()
        yield made
        made.check_no_file_left()
        assert made.pss_mb() < before + SERVER_GROWTH_MB
    assert not left_of(made.processes(str(made.home)))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("plain", "ValueError: the picture is upside down (raises.py:"),
        ("deep", "RecursionError: maximum recursion depth exceeded"),
        ("unprintable", "Trouble"),
        ("interrupt", "KeyboardInterrupt"),
    ],
)
def test_raising_fails_with_the_exception_and_the_process_continues(world: World, how: str, words: str) -> None:
    failed = world.run("raises", how=how)
    assert failed["status"] == "failed"
    assert words in failed["error"], failed["error"]
    before = [each.pid for each in world.replicas("raises")]
    world.run("raises")
    assert [each.pid for each in world.replicas("raises")] == before != []


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("hard", "exited with code 9"),
        ("zero", "exited with code 0"),
        ("killed", "was killed by signal 9 (SIGKILL"),
        ("group", "was killed by signal 15 (SIGTERM"),
        ("abort", "was killed by signal 6 (SIGABRT"),
    ],
)
def test_leaving_is_a_failure_however_it_is_done(world: World, how: str, words: str) -> None:
    failed = world.run("exits", how=how)
    assert failed["status"] == "failed"
    assert words in failed["error"], failed["error"]
    assert "while running this prediction" in failed["error"]
    world.check_replaced("exits")


def test_an_exit_call_is_a_failure_and_the_process_continues(world: World) -> None:
    world.ended(world.create("exits", how="stay"))
    before = [each.pid for each in world.replicas("exits")]
    failed = world.run("exits", how="exit")
    assert (failed["status"], failed["error"][:13]) == ("failed", "SystemExit: 7")
    assert [each.pid for each in world.replicas("exits")] == before != []


def test_a_segmentation_fault_is_reported_with_its_place(world: World) -> None:
    failed = world.run("segfaults")
    assert failed["status"] == "failed"
    assert "SIGSEGV, segmentation fault" in failed["error"]
    assert "segfaults.py" in failed["error"]
    world.check_replaced("segfaults")


@pytest.mark.parametrize("through_child", [False, True])
def test_too_much_memory_is_reported_with_both_figures(world: World, *, through_child: bool) -> None:
    failed = world.run("memory", through_child=through_child)
    assert failed["status"] == "failed"
    assert "out of memory: used " in failed["error"], failed["error"]
    assert "of its 150 MB limit" in failed["error"]
    lines = failed["logs"].splitlines()
    assert lines == [f"{number} taken" for number in range(len(lines))]
    assert len(lines) > 10 or through_child
    world.check_replaced("memory")


@pytest.mark.parametrize("how", ["python", "c", "stubborn"])
def test_hanging_ends_at_the_limit_of_the_model(world: World, how: str) -> None:
    failed = world.run("hangs", how=how)
    assert failed["status"] == "failed"
    assert failed["error"] == "The run took longer than its limit of 0:00:02 (run_timeout)."
    if how != "python":
        world.check_replaced("hangs")


@pytest.mark.parametrize("how", ["python", "c", "stubborn"])
def test_hanging_can_be_canceled(world: World, how: str) -> None:
    made = world.create("unlimited", how=how)
    world.wait_until("it hangs", lambda: "hanging" in world.get(made)["logs"])
    replicas = world.replicas("unlimited")
    world.cancel(made)
    world.check_neighbour("meanwhile")
    if how != "python":
        assert not left_of(replicas)
    assert world.get(made)["status"] == "canceled"
    assert world.run("hangs", how="python")["status"] == "failed"


def test_a_flood_is_cut_with_a_mark(world: World) -> None:
    before = world.pss_mb()
    flooded = world.run("floods")
    assert (flooded["status"], flooded["output"]) == ("succeeded", "flooded")
    assert len(flooded["logs"]) < LOG_LIMIT_BYTES + 200
    assert flooded["logs"].endswith(
        f"[halley] more logs were dropped: the limit is {LOG_LIMIT_BYTES} bytes (limits.log_bytes)\n"
    )
    assert world.pss_mb() < before + SERVER_GROWTH_MB


@pytest.mark.parametrize("clean", [False, True])
def test_children_go_with_the_process_that_started_them(world: World, *, clean: bool) -> None:
    mark = f"left-behind-{clean}"
    failed = world.run("children", marker=mark, leave=True, clean=clean)
    assert failed["status"] == "failed"
    assert "exited with code 5" in failed["error"]
    assert not left_of(world.processes(mark))


def test_children_live_as_long_as_their_process(world: World) -> None:
    """A model may start a server of its own in its first prediction, and ask it in the next."""
    mark = "kept-for-later"
    assert world.run("children", marker=mark)["output"] == 3
    world.wait_until("three of them live", lambda: len(world.processes(mark)) == 3)
    supervisor, replica = world.replicas("children")
    children = world.processes(mark)
    replica.kill()
    assert not left_of([supervisor, replica, *children])


LAST_WORDS: Final = (
    *("to standard error", "logged", "in bytes é", "from a thread", "from a program"),
    *("to descriptor 1", "to descriptor 2", "without an end"),
)


@pytest.mark.parametrize("lines", [1, 3000])
@pytest.mark.parametrize("how", ["exit", "segfault", "abort", "kill"])
def test_all_that_was_written_before_a_sudden_end_is_in_the_logs(world: World, how: str, lines: int) -> None:
    for _ in range(3):  # what is lost on the way is lost only now and then
        failed = world.run("last_words", how=how, lines=lines)
        assert failed["status"] == "failed"
        logs = failed["logs"]
        assert logs.startswith("".join([f"printed {n}\n" for n in range(lines)]))
        assert {words: logs.count(words) for words in LAST_WORDS} == dict.fromkeys(LAST_WORDS, 1), logs[-1000:]


@pytest.mark.parametrize(("first", "last"), [(0, 4096), (0, 100), (3, 4096)])
def test_closed_descriptors_hurt_only_the_process(world: World, first: int, last: int) -> None:
    ended = world.run("closes", first=first, last=last)
    if last == 100:
        assert (ended["status"], ended["output"]) == ("succeeded", "closed")
    else:
        assert ended["status"] == "failed"
        assert "closed its connection" in ended["error"], ended["error"]
        world.check_replaced("closes")


def test_what_is_written_beside_the_run_folder_is_swept(world: World) -> None:
    written = world.run("writes", given="data:text/plain,original")
    assert written["status"] == "succeeded"
    assert Path(written["output"]).is_relative_to(world.home / "data" / "scratch")
    world.wait_until("only what lies beside is left", lambda: len(world.files()) == 1)
    supervisor, replica = world.replicas("writes")
    replica.kill()
    assert not left_of([supervisor, replica])
    world.wait_until("its temporary files are gone", lambda: not Path(written["output"]).parent.exists())
    world.halley.stop()
    world.halley.start()
    world.check_no_file_left()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("object", "the output is of type object, which cannot be sent as JSON; return text, numbers, lists, dicts"),
        ("odd", "do not look at me"),
        ("lock", "the output is of type lock, which cannot be sent as JSON"),
        ("socket", "the output is of type socket, which cannot be sent as JSON"),
        ("function", "the output is of type function, which cannot be sent as JSON"),
        ("bytes", "the output is of type bytes, which cannot be sent as JSON; write it to a file and return"),
        ("nan", "output[1] is nan, which JSON cannot say; return None or text instead"),
        ("keys", "the output has a key of type tuple; keys are text"),
        ("circle", "the output is nested more than 64 deep, or contains itself"),
        ("huge", "output is too large: "),
    ],
)
def test_what_json_cannot_say_is_refused_by_place_and_type(world: World, what: str, words: str) -> None:
    failed = world.run("answers", what=what)
    assert failed["status"] == "failed"
    assert words in failed["error"], failed["error"]
    assert failed["output"] is None


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("missing", "/nowhere/at/all.png cannot be read: No such file"),
        ("relative", "no such file.png cannot be read: No such file"),
        ("removed", "gone.txt cannot be read: No such file"),
        ("folder", "is not a file; return the path of a file"),
        ("pipe", "is not a file; return the path of a file"),
        ("device", "is not a file; return the path of a file"),
        ("link", "a link that leads out of its folders to '/etc/passwd'"),
        ("chain", "a link that leads out of its folders to '/etc/passwd'"),
        ("self", "files of the system are not given out"),
    ],
)
def test_paths_that_lead_nowhere_or_out_are_refused(world: World, what: str, words: str) -> None:
    failed = world.run("paths", what=what)
    assert failed["status"] == "failed"
    assert words in failed["error"], failed["error"]
    assert failed["output"] is None


def test_yielding_without_end_is_stopped_at_the_limit(world: World) -> None:
    failed = world.run("endless")
    assert failed["status"] == "failed"
    assert failed["error"] == f"the output has more than {ITEMS_LIMIT} items (setting limits.output_events)"
    assert len(failed["output"]) <= ITEMS_LIMIT


def test_output_without_an_end_ends_at_the_limit_of_bytes(world: World) -> None:
    failed = world.run("endless", what="bytes")
    assert failed["status"] == "failed"
    assert failed["error"] == f"the output has more than {OUTPUT_LIMIT_BYTES:,} bytes (setting limits.output_bytes)"
    assert len(failed["output"]) <= OUTPUT_LIMIT_BYTES // 100_000


def test_metrics_without_an_end_are_cut_with_a_mark(world: World) -> None:
    ended = world.run("endless", what="metrics")
    assert (ended["status"], ended["output"]) == ("succeeded", ["measured"])
    numbers = ended["metrics"]["numbers"]
    assert numbers == list(range(len(numbers)))
    assert 500 < len(numbers) < 2000
    limit = f"the limit is {METRIC_LIMIT_BYTES} bytes (limits.metric_bytes)"
    assert ended["logs"] == f"\n[halley] more metrics were dropped: {limit}\n"


def test_protocol_that_is_printed_is_only_a_log(world: World) -> None:
    other = world.create("nap", seconds=0.5)
    ended = world.run("forges", how="print", other=other)
    assert (ended["status"], ended["output"]) == ("succeeded", "mine"), ended["error"]
    assert ended["logs"].count('"error": "forged"') == 3
    assert world.ended(other)["status"] == "succeeded"


@pytest.mark.parametrize("how", ["noise", "length", "half", "unknown", "wrong", "other"])
def test_forged_frames_end_only_their_sender(world: World, how: str) -> None:
    other = world.create("nap", seconds=0.5)
    ended = world.run("forges", how=how, other=other)
    assert ended["status"] == "failed"
    assert "The model process was stopped because it sent " in ended["error"], ended["error"]
    world.check_replaced("forges")
    assert world.ended(other)["status"] == "succeeded"


@pytest.mark.parametrize("how", ["fine", "fork", "raise"])
def test_forks_say_nothing_and_go_with_their_parent(world: World, how: str) -> None:
    ended = world.run("forks", how=how)
    assert (ended["status"], ended["output"]) == ("succeeded", "parent")
    assert world.run("forks")["output"] == "parent"
    world.wait_until("its supervisor, one that serves and a fork sleep", lambda: len(world.replicas("forks")) == 3)
    replicas = world.replicas("forks")
    replicas[1].kill()
    assert not left_of(replicas)


@pytest.mark.parametrize("what", ["os", "library", "streams", "sockets"])
def test_a_patched_process_still_ends_its_prediction(world: World, what: str) -> None:
    ended = world.run("patches", what=what)
    assert (ended["status"], ended["output"]) == ("succeeded", "patched"), ended["error"]
    assert "patching" in ended["logs"]
    replicas = world.replicas("patches")
    for replica in replicas:
        with suppress(psutil.NoSuchProcess):  # it went with the one before it
            replica.kill()
    assert not left_of(replicas)
    world.check_neighbour("and the server knows")


def test_ignored_signals_do_not_save_a_process(world: World) -> None:
    made = world.create("patches", what="signals")
    world.wait_until("it runs", lambda: "patching" in world.get(made)["logs"])
    replicas = world.replicas("patches")
    world.cancel(made)
    assert not left_of(replicas)
    world.check_neighbour("afterwards")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("raise", ("setup() failed: FileNotFoundError: no weights here (predict.py:", "in setup")),
        ("exit", ("setup() failed: SystemExit: 4",)),
        ("crash", ("SIGABRT", "while loading the model")),
        ("hang", ("setup() was not done after 2 s (setup_timeout), so the process was stopped",)),
    ],
)
def test_a_model_that_does_not_come_up_says_why_with_its_last_output(
    world: World, how: str, words: tuple[str, ...]
) -> None:
    failed = world.run(f"setup-{how}")
    assert failed["status"] == "failed"
    for word in (*words, "looking for weights"):
        assert word in failed["error"], failed["error"]
    assert not left_of(world.processes(str(world.home / f"setup-{how}")))


def test_a_server_that_is_killed_takes_everything_along(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.halley.start()
    try:
        assert world.ended(world.create("children", marker="orphan"))["output"] == 3
        hanging = world.create("hangs", how="c")
        world.wait_until("it hangs", lambda: "hanging" in world.get(hanging)["logs"])
        left = world.processes(str(tmp_path))
        assert len(left) >= 6
    finally:
        world.halley.kill()
    assert not left_of(left)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('run: "run.py:Runner\nbuild: [1', "cog.yaml, line 2 is not valid YAML"),
        ("run: 7\n", "cog.yaml, line 1: `run` must be a reference such as predict.py:Predictor"),
        ("run: absent.py:Runner\n", "cog.yaml, line 1: 'absent.py:Runner' names the file absent.py, which is not in"),
        ("run: steady.py\nconcurrency:\n  max: none\n", "cog.yaml, line 3: `concurrency.max` must be a whole number"),
    ],
)
def test_a_wrong_cog_yaml_on_the_command_line_ends_the_start(tmp_path: Path, text: str, words: str) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "steady.py").write_bytes((MODELS / "steady.py").read_bytes())
    (folder / "cog.yaml").write_text(text)
    server = Halley(tmp_path, "--no-demo", str(folder))
    server.start(wait=False)
    assert server.process is not None
    assert server.process.wait(PATIENCE_SECONDS) == 2
    assert words in " ".join(server.log().split()), server.log()
