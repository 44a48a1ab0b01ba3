"""What Ctrl+C means while waiting."""

import io

import pytest

from halley.cli.client import PollResult
from halley.cli.failures import NoEventLog, Unreachable
from halley.cli.screen import Screen
from halley.cli.waiting import Interrupted, wait_for


class Timing:
    def monotonic(self):
        return 0.0

    def sleep(self, seconds):
        pass

    def random(self):
        return 0.5


class Person:
    """A client whose readings are scripted; `^C` is the user pressing it."""

    timing = Timing()

    def __init__(self, *script):
        self.script = list(script)
        self.canceled = 0

    def look(self, id, *, wait_seconds=0):
        step = self.script.pop(0)
        if step == "^C":
            raise KeyboardInterrupt
        return PollResult(prediction={"id": id, "status": step, "output": "x"}, held=False, elapsed_seconds=0)

    def events(self, id, *, after=0):
        raise NoEventLog("none here")

    def cancel(self, id):
        self.canceled += 1
        return {"id": id, "status": "processing"}


def wait(person, *, cancel):
    err = io.StringIO()
    screen = Screen(io.StringIO(), err, {})
    created = {"id": "p1", "status": "starting"}
    try:
        final, _ = wait_for(person, screen, "p1", created=created, cancel_on_interrupt=cancel)
    except Interrupted:
        return None, err.getvalue()
    return final["status"], err.getvalue()


def test_the_first_cancels_and_waits_for_the_end():
    person = Person("processing", "^C", "processing", "canceled")
    status, said = wait(person, cancel=True)
    assert (status, person.canceled) == ("canceled", 1)
    assert "Canceling p1" in said


def test_the_second_leaves_at_once_and_names_the_id():
    person = Person("processing", "^C", "^C")
    status, said = wait(person, cancel=True)
    assert (status, person.canceled) == (None, 1)
    assert "halley predictions watch p1" in said


def test_watching_is_left_without_canceling():
    person = Person("processing", "^C")
    status, said = wait(person, cancel=False)
    assert (status, person.canceled) == (None, 0)
    assert "It keeps running" in said


def test_a_prediction_that_ended_meanwhile_keeps_its_end():
    assert wait(Person("processing", "succeeded"), cancel=True)[0] == "succeeded"


def test_an_unreachable_server_at_a_cancel_is_reported():
    class Away(Person):
        def cancel(self, id):
            raise Unreachable("Cannot reach it.")

    with pytest.raises(Unreachable, match="p1 could not be canceled: Cannot reach it") as told:
        wait(Away("processing", "^C"), cancel=True)
    assert "halley predictions cancel p1" in told.value.hint


def test_other_errors_pass():
    class Broken(Person):
        def look(self, id, *, wait_seconds=0):
            raise ValueError("bug")

    with pytest.raises(ValueError, match="bug"):
        wait(Broken(), cancel=True)
