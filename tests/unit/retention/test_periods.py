"""Which period counts, and when the data of a prediction ends."""

from datetime import timedelta

import msgspec
import pytest

from halley.keys.records import Account, Key, KeyOptions
from halley.models.records import Model
from halley.predictions.records import Prediction
from halley.predictions.status import Source, Status
from halley.retention.periods import Periods
from halley.settings import ModelSettings, RetentionSettings
from halley.store.memory import MemoryStore
from halley.testing.clock import T0

pytestmark = pytest.mark.anyio
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def key(name: str, retention: str | None) -> Key:
    options = KeyOptions(retention=retention)
    return Key(id=name, account_id="anna", name=name, digest=name.encode(), hint="", options=options, created_at=T0)


async def periods(**configured: str) -> Periods:
    store = MemoryStore()
    await store.put_account(Account(id="anna", username="anna", created_at=T0))
    for name, retention in (("short", "1h"), ("ever", "never"), ("plain", None)):
        await store.put_key(key(name, retention))
    for name, retention in (("week", "7d"), ("ever", "never"), ("plain", None)):
        await store.put_model(Model(owner="m", name=name, retention=retention, created_at=T0))
    models = {f"m/{name}": ModelSettings(path=".", retention=text) for name, text in configured.items()}  # type: ignore[arg-type]
    found = Periods(settings=RetentionSettings(), model_settings=models, keys=store, models=store)
    await found.refresh()
    return found


@pytest.mark.parametrize(
    ("source", "model", "key_id", "period"),
    [
        (Source.API, "m/plain", None, 30 * DAY),
        (Source.API, "m/unknown", "plain", 30 * DAY),
        (Source.WEB, "m/plain", "plain", None),
        (Source.API, "m/week", "plain", 7 * DAY),
        (Source.WEB, "m/week", None, 7 * DAY),
        (Source.API, "m/ever", "plain", None),
        (Source.API, "m/ever", "short", HOUR),
        (Source.WEB, "m/plain", "short", HOUR),
        (Source.API, "m/week", "ever", None),
    ],
)
async def test_a_key_goes_before_a_model_and_a_model_before_a_source(
    source: Source, model: str, key_id: str | None, period: timedelta | None
) -> None:
    assert (await periods()).of(source, model, key_id) == period


async def test_the_operators_settings_override_the_models() -> None:
    found = await periods(week="1h", plain="never")
    assert found.of(Source.API, "m/week", None) == HOUR
    assert found.of(Source.API, "m/plain", None) is None


async def test_the_operators_word_counts_before_anything_was_looked_up() -> None:
    models = {"m/a": ModelSettings(path=".", retention="never")}  # type: ignore[arg-type]
    store = MemoryStore()
    found = Periods(settings=RetentionSettings(api="1h"), model_settings=models, keys=store, models=store)
    assert found.of(Source.API, "m/a", None) is None


async def test_what_a_key_says_counts_at_once() -> None:
    found = await periods()
    found.note_key(key("plain", "1h"))
    assert found.of(Source.API, "m/ever", "plain") == HOUR
    found.note_key(key("plain", None))
    assert found.of(Source.API, "m/ever", "plain") is None


async def test_data_ends_so_long_after_the_end_and_not_before_there_is_one() -> None:
    found = await periods()
    row = Prediction(id="p", account_id="anna", model="m/week", version="v", input=b"{}", created_at=T0)
    assert found.ends_at(row) is None
    over = msgspec.structs.replace(row, status=Status.SUCCEEDED, completed_at=T0 + HOUR)
    assert found.ends_at(over) == T0 + HOUR + 7 * DAY
    assert found.ends_at(msgspec.structs.replace(over, key_id="ever")) is None


async def test_the_shortest_period_is_known() -> None:
    assert (await periods()).shortest == HOUR
    store = MemoryStore()
    never = Periods(settings=RetentionSettings(api="never"), model_settings={}, keys=store, models=store)
    assert never.shortest is None
