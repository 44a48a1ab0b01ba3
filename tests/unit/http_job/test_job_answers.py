"""Answers are read by pointers, and no answer breaks the reading."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from halley.providers.http_job.answers import JobSnapshot, read_create, read_state
from halley.providers.http_job.pointers import ValuePlace, find, parse_pointer
from halley.providers.http_job.progress import ProgressLines
from halley.providers.http_job.reading import read_job

EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "examples" / "jobs").glob("*.toml"))

# source: RFC 6901, section 5
DOCUMENT = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6, " ": 7, "m~n": 8}
POINTERS = {
    "": DOCUMENT,
    "/foo": ["bar", "baz"],
    "/foo/0": "bar",
    "/": 0,
    "/a~1b": 1,
    "/c%d": 2,
    "/e^f": 3,
    "/g|h": 4,
    "/i\\j": 5,
    '/k"l': 6,
    "/ ": 7,
    "/m~0n": 8,
    "/foo/2": None,
    "/foo/-": None,
    "/foo/01": None,
    "/foo/0/bar": None,
    "/none/x": None,
}


@pytest.mark.parametrize("text", POINTERS)
def test_pointers_are_those_of_the_rfc(text: str) -> None:
    assert find(DOCUMENT, parse_pointer(text)) == POINTERS[text]


def test_json_inside_a_text_and_a_member_of_each_item() -> None:
    answer = {"result": '{"urls": [{"url": "a"}, {}, {"url": null}, 3, {"url": "b"}]}', "list": [1, {"url": 2}]}
    whole = ValuePlace(("result",), ("urls",), ("url",))
    assert whole.find(answer) == ["a", "b"]
    assert ValuePlace(("list",), None, ("url",)).find(answer) == [2]
    assert ValuePlace(("list",), ("1", "url")).find(answer) == 2
    for odd in ("{", "[" * 5000, "\ud800", "1", ""):
        assert whole.find({"result": odd}) is None


def values(chance: random.Random, depth: int = 0) -> Any:
    """Any JSON, with the names and words that job files use."""
    kinds = ["word", "word", "number", "text", "flag", "null", "object", "object", "list"]
    match chance.choice(kinds[: 6 if depth > 4 else None]):
        case "word":
            words = ("SUCCESS", "completed", "success", "FAILURE", "35%", "https://x.example/a.png", "t1", "", "1")
            return chance.choice(words)
        case "number":
            return chance.choice((0, -1, 1e308, 100, 10**400, 0.5))
        case "text":
            return chance.choice(("\x00", "☄" * 50, "[" * 300, '{"a": 1}', "\r\n"))
        case "flag":
            return chance.random() < 0.5
        case "null":
            return None
        case "list":
            return [values(chance, depth + 1) for _ in range(chance.randrange(4))]
    names = (
        "id",
        "status",
        "data",
        "progress",
        "output",
        "error",
        "message",
        "code",
        "result",
        "imageUrl",
        "usage",
        "cost",
    )
    return {name: values(chance, depth + 1) for name in chance.sample(names, chance.randrange(6))}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_no_answer_breaks_the_reading(path: Path) -> None:
    job, chance = read_job(path), random.Random(12)
    seen = 0
    for _ in range(1500):
        answer = values(chance)
        read_create(job, chance.choice((200, 201, 400, 429, 502)), answer)
        state = read_state(job.answer, answer, "t1")
        seen += isinstance(state, JobSnapshot)
        json.dumps(state.metrics if isinstance(state, JobSnapshot) else state)
    assert seen


def test_lines_of_progress_are_what_the_official_clients_read() -> None:
    lines = ProgressLines()
    assert [lines.until(one) for one in (None, 0.0, 0.049)] == ["", "", ""]
    assert lines.until(0.1) == "  5%|█                   | 5/100\n 10%|██                  | 10/100\n"
    assert lines.until(0.05) == ""
    assert lines.until(1.0).splitlines()[-1] == "100%|████████████████████| 100/100"
