"""One fold for every reader."""

import msgspec
import pytest

from halley.predictions.progress import fold, record_metric
from halley.predictions.records import MetricItem, NewEvent, OutputItem
from halley.predictions.status import EventKind
from halley.testing.clock import T0


def event(kind: EventKind, data: object) -> NewEvent:
    return NewEvent(kind=kind, at=T0, data=msgspec.json.encode(data))


def item(value: bytes) -> OutputItem:
    return OutputItem(value=msgspec.Raw(value))


def test_items_grow_into_a_list_and_a_single_value_stays_as_it_is() -> None:
    assert (
        fold([event(EventKind.OUTPUT_ADDED, item(b'"a"')), event(EventKind.OUTPUT_ADDED, item(b"1"))]).output
        == b'["a",1]'
    )
    assert fold([event(EventKind.OUTPUT_SET, item(b'{"a":null}'))]).output == b'{"a":null}'
    assert fold([event(EventKind.OUTPUT_SET, item(b"null"))]).has_output
    assert fold([]).output is None


def test_folding_in_pieces_equals_folding_at_once() -> None:
    events = [event(EventKind.OUTPUT_ADDED, item(b"%d" % n)) for n in range(20)]
    events.insert(7, event(EventKind.LOGGED, "seven"))
    progress = fold(events[:9]).add(events[9:])
    assert (progress.output, progress.logs) == (fold(events).output, "seven")


def test_each_attempt_has_its_own_limits_and_all_logs_stay() -> None:
    attempt = [
        event(EventKind.STARTED, None),
        event(EventKind.METRIC_RECORDED, MetricItem(name="tokens", value=2, mode="incr")),
        event(EventKind.METRIC_RECORDED, MetricItem(name="steps", value="a", mode="append")),
        event(EventKind.LOGGED, "on\n"),
    ]
    lost = event(EventKind.ATTEMPT_LOST, "--- lost ---\n")
    told = fold([*attempt, lost])
    assert told.metrics == {"tokens": 2, "steps": ["a"]}
    told.add(attempt)
    assert (told.metrics, told.logs) == ({"tokens": 2, "steps": ["a"]}, "on\n--- lost ---\non\n")


def test_logs_are_verbatim() -> None:
    bar = "\r 50%|#####     | 1/2\x00\u2028"
    assert fold([event(EventKind.LOGGED, bar)]).logs == bar


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([("a", 1, "replace"), ("a", 2, "replace")], {"a": 2}),
        ([("a", 1, "incr"), ("a", 2, "incr")], {"a": 3}),
        ([("a", 1, "append"), ("a", "x", "append")], {"a": [1, "x"]}),
        ([("a", 1, "replace"), ("a", 2, "append")], {"a": [1, 2]}),
        ([("a.b.c", 1, "replace"), ("a.d", 2, "replace")], {"a": {"b": {"c": 1}, "d": 2}}),
        ([("a", 1, "replace"), ("a.b", 2, "replace")], {"a": {"b": 2}}),
        ([("a", "x", "replace"), ("a", 2, "incr")], {"a": 2}),
        ([("a", 1, "replace"), ("b.c", 2, "incr"), ("b.c", None, "replace"), ("d", None, "replace")], {"a": 1}),
        ([("a.b", 1, "replace"), ("a.c", 2, "replace"), ("a.b", None, "replace")], {"a": {"c": 2}}),
        ([("a", 1, "replace"), ("a.b", None, "replace")], {"a": 1}),
    ],
)
def test_metric_modes(items: list[tuple[str, object, str]], expected: dict[str, object]) -> None:
    metrics: dict[str, object] = {}
    for name, value, mode in items:
        record_metric(metrics, MetricItem(name=name, value=value, mode=mode), {})
    assert metrics == expected


@pytest.mark.parametrize(
    ("name", "values", "mode", "shown"),
    [
        ("output_token_count", [7.0], "replace", b"7"),
        ("input_token_count", [3, 4.0], "incr", b"7"),
        ("image_count", [2.0], "replace", b"2"),
        ("output_token_count", [6.9], "replace", b"7"),
        ("output_token_count", [1e300], "replace", b"1e300"),
        ("output_token_count", [0.5, 0.5, 0.5, 0.5], "incr", b"2"),
        ("output_token_count", [0.4, 0.4, 0.4, 1], "incr", b"2"),
        ("input_token_count", [2, 0.6, 1e300, 1], "incr", b"1e300"),
        ("tokens_per_second", [0.5, 0.5], "incr", b"1.0"),
        ("tokens_per_second", [7.0], "replace", b"7.0"),
    ],
)
def test_counts_are_integers_in_json(name: str, values: list[object], mode: str, shown: bytes) -> None:
    given = [event(EventKind.METRIC_RECORDED, MetricItem(name=name, value=value, mode=mode)) for value in values]
    assert msgspec.json.encode(fold(given).metrics) == b'{"%s":%s}' % (name.encode(), shown)


def test_a_count_that_is_set_or_counts_anew_keeps_no_fraction_of_the_earlier_one() -> None:
    half = event(EventKind.METRIC_RECORDED, MetricItem(name="image_count", value=0.4, mode="incr"))
    three = event(EventKind.METRIC_RECORDED, MetricItem(name="image_count", value=3, mode="replace"))
    gone = event(EventKind.METRIC_RECORDED, MetricItem(name="image_count", value=None, mode="replace"))
    assert fold([half, three, half]).metrics == {"image_count": 3}
    assert fold([half, gone, half]).metrics == {"image_count": 0}
    assert fold([half, event(EventKind.STARTED, None), half]).metrics == {"image_count": 0}


def test_what_is_appended_does_not_reach_into_the_event_before() -> None:
    given = MetricItem(name="a", value=[1], mode="replace")
    metrics: dict[str, object] = {}
    for _ in range(2):
        record_metric(metrics, given, {})
        record_metric(metrics, MetricItem(name="a", value=2, mode="append"), {})
    assert metrics == {"a": [1, 2]}
    assert given.value == [1]
