"""Ids: form, order, bounds."""

import re
from datetime import UTC, datetime, timedelta

from halley.ids import FIRST_ID, PooledText, TimeOrderedIds, first_id_at, is_id
from halley.testing.clock import T0, FakeClock


def test_form_and_order() -> None:
    clock = FakeClock()
    new_id = TimeOrderedIds(clock)
    ids = []
    for _ in range(200):
        ids.append(new_id())
        ids.append(new_id())
        clock.advance(0.001)
    assert all(re.fullmatch(r"[a-z0-9]{26}", made) and is_id(made) for made in ids)
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_order_is_kept_when_the_clock_is_set_back() -> None:
    clock = FakeClock()
    new_id = TimeOrderedIds(clock)
    first = new_id()
    clock.jump(-3600)
    assert new_id() > first


def test_bound_of_an_instant() -> None:
    clock = FakeClock()
    made = TimeOrderedIds(clock)()
    assert first_id_at(T0) <= made < first_id_at(T0 + timedelta(milliseconds=1))


def test_what_is_no_id() -> None:
    for text in ("", "a" * 25, "a" * 27, "A" * 26, "é" * 26, "a" * 25 + "/"):
        assert not is_id(text)


def test_ids_go_on_behind_those_of_an_earlier_process() -> None:
    clock = FakeClock()
    earlier = TimeOrderedIds(clock)()
    clock.jump(-86_400)
    later = TimeOrderedIds(clock)
    later.follow(earlier)
    later.follow(None)
    made = [later() for _ in range(3)]
    assert sorted([earlier, *made]) == [earlier, *made]
    clock.jump(2 * 86_400)
    assert later() >= first_id_at(clock.now())


def test_more_than_a_million_ids_in_one_millisecond_are_ordered() -> None:
    new_id = TimeOrderedIds(FakeClock())
    newest = f"{new_id()[:10]}zzzz{'0' * 12}"  # the count has no room for another
    new_id.follow(newest)
    made = [new_id() for _ in range(3)]
    assert sorted([newest, *made]) == [newest, *made]
    assert made[0][:10] > newest[:10]


def test_the_random_part_uses_each_character_equally_often() -> None:
    text = PooledText(lambda length: bytes(range(256)) * (length // 256))(4096)
    assert {text.count(character) for character in set(text)} == {128}
    assert len(set(text)) == 32


def test_a_time_before_ids_were_made_is_before_them_all() -> None:
    for year in (1, 1900, 1969):
        assert first_id_at(datetime(year, 1, 1, tzinfo=UTC)) == FIRST_ID
