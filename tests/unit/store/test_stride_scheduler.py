"""Which account is served next."""

from collections import Counter

from halley.store.sqlite.stride_scheduler import StrideScheduler


def give(
    turns: StrideScheduler, accounts: list[str], count: int, weights: dict[str, int] | None = None
) -> Counter[str]:
    given: Counter[str] = Counter()
    for _ in range(count):
        account = turns.next_of(accounts)
        turns.take(account, (weights or {}).get(account, 1))
        given[account] += 1
    return given


def test_equal_weights_share_equally() -> None:
    assert give(StrideScheduler(), ["a", "b", "c"], 30) == {"a": 10, "b": 10, "c": 10}


def test_weights_divide_the_turns() -> None:
    assert give(StrideScheduler(), ["a", "b", "c"], 60, {"b": 2, "c": 3}) == {"a": 10, "b": 20, "c": 30}


def test_an_account_that_was_idle_starts_at_the_others_position() -> None:
    turns = StrideScheduler()
    give(turns, ["a"], 1000)
    assert give(turns, ["a", "b"], 10) == {"a": 5, "b": 5}


def test_positions_of_idle_accounts_are_removed() -> None:
    turns = StrideScheduler()
    for number in range(5_000):
        give(turns, [f"account {number}", f"account {number + 1}"], 2)
    assert len(turns._places) <= 1_001


def test_serving_an_account_early_keeps_the_order_of_others() -> None:
    turns = StrideScheduler()
    for _ in range(3):
        turns.take("a", 1, out_of_turn=True)
    assert give(turns, ["a", "b"], 3) == {"b": 3}


def test_turns_that_follow_each_other_count_as_one_by_one() -> None:
    together, one_by_one = StrideScheduler(), StrideScheduler()
    for turns in (together, one_by_one):
        give(turns, ["a", "b"], 5)
    together.take("b", 3, turns=4)
    for _ in range(4):
        one_by_one.take("b", 3)
    assert give(together, ["a", "b", "c"], 20) == give(one_by_one, ["a", "b", "c"], 20)
    assert together._places == one_by_one._places
