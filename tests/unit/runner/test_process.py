"""From the first frame to the exit status."""

import os
import signal

import pytest

from halley.runner import PROTOCOL_VERSION


def kinds(frames):
    return [frame["t"] for frame in frames]


def test_says_hello_describes_and_is_ready(start):
    child = start("forms.py:function")
    assert kinds(child.seen) == ["hello", "described", "ready"]
    hello, described, ready = child.seen
    assert hello["v"] == PROTOCOL_VERSION
    assert hello["pid"] != child.process.pid  # the first process is the model's supervisor
    assert hello["python"].count(".") == 2
    assert ready["slots"] == 1
    assert (described["async"], described["streams"], described["file_inputs"]) == (False, False, False)
    assert described["warnings"] == []


def test_inspect_describes_and_leaves(start):
    child = start("broken_setup.py", mode="inspect", ready=False)
    assert kinds(child.read_to_end()) == ["hello", "described"]
    assert child.wait() == 0


@pytest.mark.parametrize(
    ("ref", "says"),
    [
        ("nowhere.py", "there is no file nowhere.py in the model folder"),
        ("forms.py:Absent", "forms.py defines no Absent; it defines Runner, Predictor"),
        ("forms.py:Nothing", "class Nothing has neither a run nor a predict method"),
        ("forms.py:not_callable", "not_callable in forms.py is neither a class nor a function"),
        ("outputs.py", "outputs.py defines none of Runner, Predictor, run, predict"),
        ("broken_import.py", "ModuleNotFoundError: No module named 'nowhere_to_be_found' (broken_import.py:1)"),
    ],
)
def test_refuses_with_a_reason(start, ref, says):
    child = start(ref, ready=False)
    assert says in child.read_until("refused")["error"]
    assert child.wait() == 2


def test_refuses_a_syntax_error_with_its_place(start, write_model):
    child = start("predict.py", folder=write_model("x = 1\ndef predict(:\n"), ready=False)
    refused = child.read_until("refused")
    assert refused["error"].startswith("SyntaxError: ")
    assert "predict.py, line 2" in refused["error"]
    assert "def predict(:" in refused["traceback"]


def test_refuses_a_model_that_exits_when_imported(start, write_model):
    child = start("predict.py", folder=write_model("print('bye')\nraise SystemExit(0)\n"), ready=False)
    refused = child.read_until("refused")
    assert "SystemExit: 0" in refused["error"]
    assert [frame["text"] for frame in child.seen if frame["t"] == "log"] == ["bye\n"]
    assert child.wait() == 2


def test_failed_setup_keeps_its_output_and_place(start):
    child = start("broken_setup.py", ready=False)
    failed = child.read_until("setup_failed")
    assert failed["error"] == "RuntimeError: no weights (broken_setup.py:7)"
    assert "in setup" in failed["traceback"]
    assert "_halley_runner" not in failed["traceback"]
    assert {"t": "log", "id": None, "text": "loading weights\n"} in child.seen
    assert child.wait() == 3


def test_stop_ends_an_idle_child(start):
    child = start("forms.py:function")
    child.stop()
    assert child.wait() == 0


@pytest.mark.parametrize("ref", ["cancels.py:sleeps", "cancels.py:async_sleeps"])
def test_stop_lets_the_running_prediction_end(start, ref):
    child = start(ref)
    running = child.send({})
    child.wait_for_log("started")
    child.stop()
    assert child.ping(1) == {"t": "pong", "n": 1}  # the stop was read before this
    child.cancel(running)
    assert child.story(running).done["status"] == "canceled"
    assert child.wait() == 0


@pytest.mark.parametrize("ref", ["cancels.py:busy", "cancels.py:async_sleeps"])
def test_end_of_data_ends_the_child_at_once(start, ref):
    child = start(ref)
    child.send({})
    child.wait_for_log("started")
    child.data.close()
    assert child.wait() == 0


def test_wrong_parent_ends_the_child(start):
    child = start("forms.py:function", ready=False, parent_pid=1)
    assert child.read_to_end() == []
    assert child.wait() == 0


def test_ping_is_answered_while_predict_runs(start):
    child = start("cancels.py:busy")
    child.send({})
    child.wait_for_log("started")
    assert child.ping(17) == {"t": "pong", "n": 17}


@pytest.mark.parametrize(
    ("ref", "how", "error", "log"),
    [
        ("exits.py:sync", "exit", "SystemExit: 7", "leaving\n"),
        ("exits.py:sync", "text", "SystemExit: no more", "leaving\nno more\n"),
        ("exits.py:sync", "nothing", "SystemExit", "leaving\n"),
        ("exits.py:sync", "quit", "SystemExit", "leaving\n"),
        ("exits.py:sync", "pool", "SystemExit: 7", "leaving\n"),
        ("exits.py:pieces", "exit", "SystemExit: 7", "leaving\n"),
        ("exits.py:coroutine", "exit", "SystemExit: 7", "leaving\n"),
        ("exits.py:coroutine", "task", "SystemExit: 7", "leaving\n"),
        ("exits.py:coroutine", "group", "SystemExit: 7", "leaving\n"),
        ("exits.py:coroutine", "forgotten", "SystemExit: 7", "leaving\n"),
        ("exits.py:coroutine", "callback", "SystemExit: 7", "leaving\n"),
        ("exits.py:coroutine", "thread", "SystemExit: 7", ""),
        ("exits.py:coroutine", "interrupt", "KeyboardInterrupt", "leaving\n"),
        ("exits.py:async_pieces", "exit", "SystemExit: 7", "leaving\n"),
    ],
)
def test_a_model_that_calls_exit_ends_only_its_prediction(start, ref, how, error, log):
    child, is_async = start(ref), "async" in ref or "coroutine" in ref
    if is_async:
        child.send({"how": "stay"}, "neighbour")
        child.wait_for_log("waiting")
    story = child.predict(how=how)
    assert story.error.startswith(error), story.error
    assert story.logs.startswith(log)
    again = child.predict(how="return")
    assert again.outputs == ["here"] if "pieces" in ref else again.value == "here"
    if is_async:
        child.predict(how="wake")
        assert child.story("neighbour").done["status"] == "succeeded"


def test_a_forked_child_may_leave(start):
    child = start("exits.py:sync")
    story = child.predict(how="fork")
    assert story.value == "child left with 5"
    assert "Traceback" not in story.logs


def test_a_model_that_ends_its_process_is_seen_as_the_end_of_data(start):
    child = start("faults.py:leaves")
    child.send({"how": "hard"})
    assert "done" not in kinds(child.read_to_end())
    assert child.wait() == 9


def test_the_message_of_a_crash_is_on_the_first_standard_error(start):
    child = start("faults.py:crashes")
    child.send({})
    child.read_to_end()
    assert child.wait() == -signal.SIGSEGV
    assert b"Segmentation fault" in child.process.stderr.read()


def test_environment_of_the_model_is_set(start):
    child = start("forms.py:environment", environment={"GREETING": "hello"})
    assert child.predict(name="GREETING").value == "hello"


def test_sockets_are_high_and_small_numbers_are_free(start):
    child = start("forms.py:function")
    own = f"/proc/{child.seen[0]['pid']}/fd"
    places = {int(name): os.readlink(f"{own}/{name}") for name in os.listdir(own)}
    assert all(number >= 200 for number, place in places.items() if place.startswith("socket:"))
    assert places[1] == places[2]
    assert places[1].startswith("pipe:")
    assert places[0] == "/dev/null"
