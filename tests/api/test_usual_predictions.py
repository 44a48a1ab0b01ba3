"""The JSON of usual predictions has the bytes that the encoder makes of the whole body."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from api.world import World
from halley.api.http.asgi import Variant
from halley.api.presentation.present import encode
from halley.clock import from_micros
from halley.predictions.records import OutputFile, Prediction
from halley.predictions.status import Source, Status

pytestmark = pytest.mark.anyio

ID = "01m8hmddq3jge9rt4bpm15cv3a"
TEXT = some.text(max_size=20) | some.sampled_from(["", "a/b", 'q"\\', "\x00\u2028é"])
TIME = some.integers(0, 4 * 10**15).map(from_micros) | some.just(datetime(2026, 11, 28, 21, tzinfo=UTC))
MAYBE_TIME = some.none() | TIME
JSON = (some.none() | some.integers(-9, 9) | TEXT | some.lists(TEXT, max_size=2)).map(encode)
FILE = OutputFile(ref=f"asset:{ID}/0/a.png", index=0, name="a.png", sha256="0" * 64, size_bytes=1, content_type="x/y")


def seldom(strategy: Any, usually: Any) -> Any:
    """Nine times of ten what is usual."""
    return some.integers(0, 9).flatmap(lambda number: strategy if number == 0 else some.just(usually))


ROWS = some.builds(
    Prediction,
    id=some.just(ID),
    account_id=some.just("a"),
    key_id=some.sampled_from(["k", None]),
    model=some.just("acme/echo") | TEXT,
    version=TEXT,
    status=some.sampled_from([*Status, Status.SUCCEEDED, Status.STARTING]),
    input=some.dictionaries(TEXT, TEXT, max_size=2).map(encode) | some.just(b'{ "a" : 1.50 }'),
    output=some.none() | JSON | some.just(b""),
    files=seldom(some.just((FILE,)), ()),
    logs=TEXT,
    error=some.none() | TEXT,
    metrics=some.dictionaries(TEXT, some.floats(0, 9) | some.integers(0, 9), max_size=2),
    source=some.sampled_from(Source),
    created_at=TIME,
    started_at=MAYBE_TIME,
    completed_at=MAYBE_TIME,
    data_removed_at=seldom(TIME, None),
    webhook=seldom(some.just("http://hook"), None),
    webhook_events_filter=seldom(some.just(("start",)), None),
    deployment=seldom(some.just("a/b"), None),
    deadline_at=seldom(TIME, None),
    termination_reason=seldom(some.just("abandoned"), None),
    repeated_creates=seldom(some.just(2), 0),
)
VARIANTS = [
    Variant(number=1, origin="http://localhost:1986", family="", data_urls=False, expose_aborted=False),
    Variant(number=2, origin="https://ö.example/a%20b", family="/replicate", data_urls=False, expose_aborted=True),
    Variant(number=2, origin="http://other", family="", data_urls=False, expose_aborted=False),
    Variant(number=-1, origin="http://other", family="", data_urls=False, expose_aborted=False, own_key="k"),
]


@given(row=ROWS, variant=some.sampled_from(VARIANTS), with_logs=some.booleans(), files=some.booleans())
@settings(max_examples=200, deadline=None)
def check(world: World, row: Prediction, variant: Variant, *, with_logs: bool, files: bool) -> None:
    presenter = world.api.parts.presenter
    presenter._file_versions[row.version] = files
    assert presenter.json(row, variant, with_logs=with_logs) == encode(
        presenter.prediction(row, variant, with_logs=with_logs)
    )


async def test_both_ways_make_the_same_bytes(world: World) -> None:
    check(world)


async def test_a_usual_prediction_takes_the_short_way(world: World) -> None:
    made = (await world.post("/v1/predictions", {"version": "acme/echo", "input": {"prompt": "hi"}})).json()
    usual = world.api.parts.presenter._usual
    started = await world.row(made["id"])
    assert usual.encoded(started, VARIANTS[0], with_logs=True) is not None
    await world.run(made["id"])
    assert usual.encoded(await world.row(made["id"]), VARIANTS[0], with_logs=True) is not None


async def test_a_reason_for_waiting_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made = (await world.post("/v1/predictions", {"version": "acme/echo", "input": {"prompt": "hi"}})).json()
    presenter = world.api.parts.presenter
    monkeypatch.setattr(presenter, "_why_starting", lambda _: "it is being built")
    shown = msgspec.json.decode(presenter.json(await world.row(made["id"]), VARIANTS[0]))
    assert shown["starting_reason"] == "it is being built"
