"""Metrics that a model reports."""

import pytest


@pytest.mark.parametrize(
    ("given", "frame"),
    [
        ({"name": "tokens", "value": 5}, {"name": "tokens", "value": 5, "mode": "replace"}),
        ({"name": "a.b.c.d", "value": 0.5, "mode": "incr"}, {"name": "a.b.c.d", "value": 0.5, "mode": "incr"}),
        ({"mode": None}, {"name": "tokens", "value": 5, "mode": "replace"}),
        ({"value": {"x": [1]}, "mode": "append"}, {"name": "tokens", "value": {"x": [1]}, "mode": "append"}),
    ],
)
def test_metric_is_sent(start, given, frame):
    story = start("metrics.py").predict(**given)
    assert story.of("metric") == [{"t": "metric", "id": "p1", "n": 1, **frame}]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"name": "predict_time"}, "is measured by the server itself"),
        ({"name": "cog.x"}, "is measured by the server itself"),
        ({"name": "a__b"}, "metric name 'a__b'"),
        ({"name": "1a"}, "metric name '1a'"),
        ({"name": "a.b.c.d.e"}, "up to 4 parts"),
        ({"name": "a" * 129}, "128 characters"),
        ({"mode": "sum"}, "TypeError: metric tokens: mode is one of replace, incr, append, not 'sum'"),
        ({"value": "x", "mode": "incr"}, "only a number can be added up"),
    ],
)
def test_bad_metric_is_the_models_error(start, given, says):
    assert says in start("metrics.py").predict(**given).error


def test_kind_of_a_metric_is_fixed(start):
    child = start("metrics.py:changes_kind")
    assert "metric a is a number already and cannot become a text" in child.predict().error
    assert len(child.predict().of("metric")) == 1  # each prediction begins anew


def test_a_metric_that_was_taken_back_may_be_of_another_kind(start):
    told = [(m["name"], m["value"], m["mode"]) for m in start("metrics.py:takes_back").predict().of("metric")]
    assert told == [
        ("a", 1, "replace"),
        ("b.c", 2, "incr"),
        ("a", None, "replace"),
        ("a", "text", "replace"),
        ("b.c", None, "replace"),
    ]


def test_order_with_logs(start):
    story = start("metrics.py:ordered").predict()
    assert [frame.get("text") or frame.get("name") for frame in story.frames[:-1]] == [
        "first\n",
        "a.b",
        "second\n",
        "c",
        "third\n",
    ]


def test_context_reaches_the_model(start):
    child = start("metrics.py:context")
    assert child.story(child.send({}, context={"trace": "7"})).value == {"trace": "7"}
