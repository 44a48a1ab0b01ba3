"""Samples are counted for the package of the innermost function of ours, and spread over the CPU time."""

import pytest
from profiled import LOOP, OTHERS, OUTSIDE, WRITER, by_room, room, spread, table, threads

OURS = "/srv/halley/src/halley"
RUNNER = "/usr/lib/python3.11/asyncio/runners.py"
RAW = f"""\
thread (7): MainThread;run (<frozen runpy>);start ({OURS}/app/serving.py);run ({RUNNER});create ({OURS}/api/create.py) 3
thread (7): MainThread;start ({OURS}/app/serving.py);run ({RUNNER});go ({OURS}/store/a.py);send (/lib/selectors.py) 1
thread (7): MainThread;start ({OURS}/app/serving.py);run ({RUNNER}) 4
thread (9): halley-writer;_bootstrap (/lib/threading.py);<module> ({OURS}/clock.py) 5
thread (11): AnyIO worker thread;run (/lib/anyio.py) 1
"""


@pytest.mark.parametrize(
    ("files", "package"),
    [
        ([f"{OURS}/app/serving.py", RUNNER, f"{OURS}/api/routes/tables.py"], "api"),
        ([f"{OURS}/app/serving.py", RUNNER, f"{OURS}/api/create.py", f"{OURS}/store/sqlite/rows.py"], "store"),
        ([f"{OURS}/app/serving.py", RUNNER, f"{OURS}/api/create.py", "/lib/python3.11/json/decoder.py"], "api"),
        ([f"{OURS}/app/serving.py", RUNNER], OUTSIDE),  # else the whole loop would belong to what starts it
        (["/lib/threading.py", f"{OURS}/clock.py"], "clock"),
        (["/srv/halley/elsewhere/program.py"], OUTSIDE),
        ([], OUTSIDE),
    ],
)
def test_a_stack_belongs_to_the_innermost_package(files: list[str], package: str) -> None:
    assert room(files, OURS) == package


def test_samples_are_summed_by_thread_and_package() -> None:
    assert by_room(RAW, OURS) == {
        LOOP: {"api": 3, "store": 1, OUTSIDE: 4},
        WRITER: {"clock": 5},
        OTHERS: {OUTSIDE: 1},
    }
    assert threads(RAW) == {7: LOOP, 9: WRITER, 11: OTHERS}


def test_the_time_of_a_thread_is_spread_by_its_samples() -> None:
    assert spread({"api": 3, "store": 1}, 200.0) == {"api": 150.0, "store": 50.0}
    assert spread({}, 200.0) == {OUTSIDE: 200.0}


def test_the_dearest_package_comes_first_and_the_sums_are_those_of_the_clocks() -> None:
    head, *rows, last = table({LOOP: {"api": 1, "store": 3}, WRITER: {"store": 1}}, {LOOP: 40.0, WRITER: 20.0})
    assert head.split()[-3:] == [LOOP, WRITER, "all"]
    assert [row.split() for row in rows] == [["store", "30.0", "20.0", "50.0"], ["api", "10.0", "0.0", "10.0"]]
    assert last.split() == ["all", "40.0", "20.0", "60.0"]
