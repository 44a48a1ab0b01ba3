import signal
import subprocess
import sys

import pytest

from halley.demo import DEMO_FOLDER
from unit.demo.loading import COG_FOLDER, load

echo = load("echo", "predict.py")
sleep = load("sleep", "run.py")
fail = load("fail", "predict.py")
noop = load("noop", "predict.py")


class Clock:
    """Stands for the time module: sleeping moves it on at once, and may be interrupted."""

    def __init__(self, interrupt=None):
        self.slept = []
        self.interrupt = interrupt

    def monotonic(self):
        return sum(self.slept)

    def sleep(self, seconds):
        self.slept.append(seconds)
        if self.interrupt is not None:
            raise self.interrupt


def echoed(**inputs):
    predictor = echo.Predictor()
    predictor.setup()
    given = {"text": "t", "number": -3, "ratio": 0.25, "flag": False, "choice": "blue", "items": ["a", ""]}
    return predictor.predict(**{**given, "file": None, "secret": None, **inputs}), predictor


def test_echo_gives_simple_values_back():
    output, _ = echoed()

    assert vars(output) == {
        "text": "t",
        "number": -3,
        "ratio": 0.25,
        "flag": False,
        "choice": "blue",
        "items": ["a", ""],
        "file": None,
        "secret_length": None,
    }


def test_echo_gives_a_file_back_as_a_copy(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_bytes(b"\x00\xff hello")

    output, _predictor = echoed(file=echo.Path(file))

    assert isinstance(output.file, echo.Path)
    assert output.file != file
    assert (output.file.name, output.file.read_bytes()) == ("notes.txt", b"\x00\xff hello")


def test_echo_never_shows_a_secret(capsys):
    output, _ = echoed(secret=echo.Secret("hunter2"))

    assert output.secret_length == 7
    assert "hunter2" not in repr(output) + "".join(capsys.readouterr())


@pytest.mark.parametrize("seconds", [0.0, 0.01, 2.5])
def test_sleep_takes_its_time_in_small_pieces(monkeypatch, capsys, seconds):
    clock = Clock()
    monkeypatch.setattr(sleep, "time", clock)

    assert sleep.Runner().run(seconds=seconds) == f"slept for {seconds:g} s"

    assert sum(clock.slept) == pytest.approx(seconds)
    assert max(clock.slept, default=0) <= sleep.SLICE_SECONDS
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 21
    assert lines[10] == " 50%|#####     | 10/20"


def test_fail_raises():
    with pytest.raises(ValueError, match="was asked to fail"):
        fail.Predictor().predict(mode="raise")


def test_fail_hangs_on_when_asked_to_stop_and_ends_after_ten_minutes(monkeypatch, capsys):
    clock = Clock(interrupt=fail.CancelationException())
    monkeypatch.setattr(fail, "time", clock)

    assert fail.Predictor().predict(mode="hang") == "gave up hanging after ten minutes"

    assert sum(clock.slept) == pytest.approx(600, abs=1)
    assert "not listening" in capsys.readouterr().out


def in_a_process(mode, *, before=""):
    code = f"import sys; sys.path[:0] = {[str(COG_FOLDER), str(DEMO_FOLDER / 'fail')]!r}; import predict; {before}"
    code += f"\npredict.Predictor().predict(mode={mode!r})"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)


def test_fail_exits():
    ended = in_a_process("exit")

    assert (ended.returncode, ended.stdout) == (7, "about to fail: exit\n")


def test_fail_segfaults():
    assert in_a_process("segfault").returncode == -signal.SIGSEGV


def test_fail_takes_real_memory_until_there_is_no_more():
    limited = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**28 + 2**27,) * 2); predict.STEP_SECONDS = 0"

    ended = in_a_process("oom", before=limited)

    assert ended.returncode == 1
    assert ended.stderr.rstrip().endswith("MemoryError")
    assert "holding 256 MiB" in ended.stderr
    assert "holding 512 MiB" not in ended.stderr


def test_fail_touches_every_page_that_it_takes():
    measured = (
        "predict.CEILING_BYTES = 2**27; predict.time = type('Now', (), {'sleep': lambda s: None});"
        "peak = lambda: int(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])\n"
        "try:\n    before = peak(); predict.use_up_memory()\n"
        "except MemoryError as end: print(peak() - before, end); sys.exit()"
    )

    kilobytes, _, message = in_a_process("oom", before=measured).stdout.partition(" ")

    assert int(kilobytes) > 120 * 1024
    assert "memory limit of 256 MB is not in force" in message


@pytest.mark.anyio
@pytest.mark.parametrize("prompt", ["", "hello", "静か"])
async def test_noop_gives_the_prompt_back(prompt):
    assert await noop.Predictor().predict(prompt=prompt) == prompt
