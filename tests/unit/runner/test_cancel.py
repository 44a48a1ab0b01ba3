"""Cancel: asked on CONTROL, felt in the model's own code and nowhere else."""

import pytest


def canceled(child, note="started", **given):
    running = child.send(given)
    child.wait_for_log(note)
    child.cancel(running)
    story = child.story(running)
    assert story.done["status"] == "canceled"
    assert story.done["error"] is None
    return story


@pytest.mark.parametrize("name", ["busy", "sleeps", "prints"])
def test_code_is_interrupted(start, name):
    canceled(start(f"cancels.py:{name}"))


def test_the_model_may_clean_up(start):
    assert canceled(start("cancels.py:cleans_up")).logs == "started\ncleaning up\n"


def test_a_cancel_that_the_model_catches_still_cancels(start):
    story = canceled(start("cancels.py:swallows"))
    assert story.logs == "started\nswallowed\n"
    assert story.done["has_value"] is False


def test_another_exception_is_noted(start):
    assert "while being canceled: ValueError: instead" in canceled(start("cancels.py:raises_other")).logs


def test_generator_gets_the_cancel_inside(start):
    assert canceled(start("cancels.py:yields")).logs.endswith("told inside\nclosed\n")


def test_generator_that_continues_after_a_cancel_is_closed(start):
    story = canceled(start("cancels.py:yields_on"))
    assert story.outputs == []


def test_an_exception_without_a_cancel_is_a_failure(start):
    assert start("cancels.py:unasked").predict().error == "CancelationException: I want out (cancels.py:52)"


def test_one_after_the_other_is_canceled(start):
    child = start("cancels.py:busy")
    for turn in range(5):
        running = child.send({"note": f"turn {turn}"})
        child.wait_for_log(f"turn {turn}")
        child.cancel(running)
        assert child.story(running).done["status"] == "canceled"


@pytest.mark.parametrize("ref", ["cancels.py:Counter", "cancels.py:async_counter"])
def test_late_cancel_does_not_hit_the_next(start, ref):
    child = start(ref)
    for turn in range(200):
        running = child.send({"n": turn})
        child.cancel(f"p{turn}")  # the one before
        story = child.story(running)
        assert story.done["status"] == "succeeded"
        assert story.value == turn


@pytest.mark.parametrize("ref", ["cancels.py:busy", "cancels.py:async_sleeps"])
def test_cancel_that_overtakes_its_prediction(start, ref):
    child = start(ref)
    child.cancel("early")
    assert child.ping(1) == {"t": "pong", "n": 1}  # now it was read
    assert child.predict("early").done["status"] == "canceled"


@pytest.mark.parametrize("ref", ["cancels.py:Counter", "cancels.py:async_counter"])
def test_racing_cancels_give_one_end_each(start, ref):
    child = start(ref)
    for turn in range(200):
        running = child.send({"n": turn})
        child.cancel(running)
        story = child.story(running)
        assert len(story.of("done")) == 1
        assert story.done["status"] in ("succeeded", "canceled")
    assert child.predict(n=7).value == 7


@pytest.mark.parametrize(("name", "log"), [("async_sleeps", "started\ncleaned\n"), ("async_swallows", "started\n")])
def test_async_code_is_cancelled(start, name, log):
    assert canceled(start(f"cancels.py:{name}")).logs == log


def test_async_generator_is_closed(start):
    assert canceled(start("cancels.py:async_yields")).logs.endswith("closed\n")


def test_one_of_two_is_cancelled(start):
    child = start("cancels.py:async_sleeps", max_concurrency=2)
    first, second = child.send({}), child.send({})
    while [f.get("id") for f in child.seen if f["t"] == "log"] not in ([first, second], [second, first]):
        child.read()
    child.cancel(first)
    assert child.story(first).done["status"] == "canceled"
    assert not any(f["t"] == "done" and f["id"] == second for f in child.seen)
    child.cancel(second)
    assert child.story(second).done["status"] == "canceled"
