"""What must hold of the source as a whole (docs/why/house.md). `scripts/figures` prints the numbers behind it."""

import ast

import pytest

import house

EVERY = house.modules()


def test_public_class_names_occur_once() -> None:
    twice = house.names_twice(EVERY)
    assert not twice, f"give one of each pair another name: {twice}"


LONGEST_MODULE, LONGEST_FUNCTION = 400, 60  # lines; typical are 100 and 6: see docs/why/house.md
TABLES: dict[str, int] = {}  # modules that are one long table, with the lines that they may have


def test_no_module_is_long() -> None:
    long = [f"{one.path}: {one.lines}" for one in EVERY if one.lines > TABLES.get(one.path, LONGEST_MODULE)]
    assert not long, f"look for the second subject: {long}"


def test_no_function_is_long() -> None:
    long = [str(one) for one in house.functions(EVERY) if one.size > LONGEST_FUNCTION]
    assert not long, "find the name that is hidden inside:\n" + "\n".join(long)


def test_nothing_takes_more_than_eight_arguments() -> None:
    many = [str(one) for one in house.many_arguments(EVERY)]
    assert not many, "group what belongs together into a frozen value with a meaning:\n" + "\n".join(many)


def test_only_one_line_names_the_store_that_is_opened() -> None:
    elsewhere = [place for place in house.sqlite_named(EVERY) if not place.startswith("app/stores.py:")]
    assert not elsewhere, f"take `store.ports.Store` instead: {elsewhere}"


def module(text: str, path: str = "api/x.py") -> list[house.Module]:
    return [house.Module(path, text.count("\n"), ast.parse(text))]


NINE = ", ".join("abcdefghi")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"def f({NINE}): ...", 1),
        (f"class A:\n def __init__(self, *, {NINE}): ...", 1),
        (f"class A:\n def __init__(self, *, {NINE[:-3]}): ...", 0),
        ("@dataclass(frozen=True)\nclass A:\n" + "".join(f" {name}: int\n" for name in "abcdefghi"), 1),
        ("class A(msgspec.Struct):\n" + "".join(f" {name}: int\n" for name in "abcdefghi"), 0),
    ],
)
def test_arguments_are_counted(text: str, found: int) -> None:
    assert len(house.many_arguments(module(text))) == found


def test_a_name_that_occurs_twice_is_found() -> None:
    text = "class A: ...\nclass _B: ...\n"
    assert list(house.names_twice(module(text) + module(text, "web/y.py"))) == ["A"]


def test_an_import_of_the_store_is_found() -> None:
    assert house.sqlite_named(module("from halley.store.sqlite.store import SqliteStore")) == ["api/x.py:1"]
