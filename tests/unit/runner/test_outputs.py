"""Outputs: plain, in pieces, and as files."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def value_of(start):
    return lambda kind: start("outputs.py:value").predict(kind=kind)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("null", None),
        ("nested", {"a": [1, 2.5, True, None, "é"], "3": [1, [2]]}),
        ("enum", "red"),
        ("scalar", 7),
        ("array", {"vectors": [[1, 2], [3, 4]]}),
        ("dataclass", {"x": 1, "y": None}),
        ("date", "2026-01-02"),
        ("generator", [0, 1, 2]),
        ("surrogate", "half \ufffd pair"),
    ],
)
def test_values(value_of, kind, value):
    story = value_of(kind)
    assert story.value == value
    assert story.done["has_value"] is True
    assert story.done["paths"] == []


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("nan", 'output["loss"][1] is nan, which JSON cannot say'),
        ("infinity", "the output is inf"),
        ("bytes", "the output is of type bytes, which cannot be sent as JSON; write it to a file"),
        ("object", "output[0] is of type object, which cannot be sent as JSON"),
        ("secret", 'output["key"] is a Secret, which is never sent'),
        ("badkey", "has a key of type tuple; keys are text"),
    ],
)
def test_what_cannot_be_sent(value_of, kind, says):
    assert says in value_of(kind).error


def test_endless_output(start):
    assert "contains itself" in start("outputs.py:circle").predict().error


def test_too_large_output_is_refused_and_the_child_lives(start):
    child = start("outputs.py:huge")
    assert "output is too large" in child.predict(size=65 * 2**20).error
    assert child.predict(size=3).value == "xxx"


def test_nothing(start):
    story = start("outputs.py:nothing").predict()
    assert (story.done["status"], story.done["has_value"], story.done["value"]) == ("succeeded", False, None)


def test_file_is_kept_in_the_run_folder(start):
    child = start("outputs.py:file")
    story = child.predict()
    assert story.done["paths"] == [[]]
    assert story.value.startswith(str(child.run_folder / "p1"))
    assert os.path.basename(story.value) == "out.txt"
    assert Path(story.value).read_text() == "hello"


def test_files_anywhere_in_the_output(start):
    story = start("outputs.py:many").predict()
    assert sorted(story.done["paths"]) == [["first"], ["open"], ["rest", 0]]
    found = [Path(p).read_text() for p in (story.value["first"], story.value["rest"][0], story.value["open"])]
    assert found == ["1", "2", "3"]
    assert story.value["rest"][1] == "plain"


def test_text_that_looks_like_a_path_stays_text(start):
    story = start("outputs.py:value").predict(kind="text")
    assert story.value == "/etc/passwd"
    assert story.done["paths"] == []


def test_model_with_a_file(start):
    story = start("outputs.py:report").predict()
    assert story.done["paths"] == [["picture"]]
    picture = story.value.pop("picture")
    assert Path(picture).read_text() == "pixels"
    assert story.value == {"title": "t", "notes": [], "score": 0.5}


@pytest.mark.parametrize(("name", "text"), [("in_memory", "bytes in memory"), ("temporary", "gone when closed")])
def test_open_files(start, name, text):
    story = start(f"outputs.py:{name}").predict()
    assert story.done["paths"] == [[]]
    assert Path(story.value).read_text() == text


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing", "output file /nowhere/out.png cannot be read: No such file or directory"),
        ("folder", "output /tmp is not a file"),
    ],
)
def test_bad_files(start, name, says):
    assert says in start(f"outputs.py:{name}").predict().error


def test_one_file_written_again_and_again_is_kept_each_time(start):
    story = start("outputs.py:same_file").predict(count=3)
    assert [Path(path).read_text() for path in story.outputs] == ["0", "1", "2"]
    assert [frame["paths"] for frame in story.of("output")] == [[[]]] * 3


@pytest.mark.parametrize("name", ["pieces", "async_pieces"])
def test_pieces_come_in_order_with_their_logs(start, name):
    child = start(f"outputs.py:{name}")
    assert child.seen[1]["streams"] is True
    story = child.predict(count=3)
    assert [frame.get("text", frame.get("value")) for frame in story.frames[:-1]] == [
        "before 0\n",
        "0 ",
        "before 1\n",
        "1 ",
        "before 2\n",
        "2 ",
    ]
    assert [frame["n"] for frame in story.frames] == list(range(1, 8))
    assert (story.done["has_value"], story.done["value"]) == (False, None)


@pytest.mark.parametrize("name", ["listed", "async_list"])
def test_iterators(start, name):
    assert start(f"outputs.py:{name}").predict(count=3).outputs == [0, 1, 2]


@pytest.mark.parametrize("name", ["pieces", "async_pieces", "listed", "async_list"])
def test_an_iterator_that_yields_nothing_is_an_empty_list(start, name):
    story = start(f"outputs.py:{name}").predict(count=0)
    assert story.outputs == []
    assert (story.done["has_value"], story.value) == (True, [])


def test_an_iterator_that_fails_before_its_first_item_has_no_output(start):
    story = start("outputs.py:breaks_at_once").predict()
    assert (story.done["status"], story.done["has_value"], story.done["value"]) == ("failed", False, None)


def test_generator_without_a_return_type_streams(start):
    child = start("outputs.py:yields_unannounced")
    assert child.seen[1]["streams"] is True
    assert child.predict().outputs == [1, 2]


@pytest.mark.parametrize(
    ("name", "says"), [("breaks_off", "ValueError: enough"), ("bad_item", "is of type object, which cannot")]
)
def test_output_so_far_stays_when_it_breaks_off(start, name, says):
    story = start(f"outputs.py:{name}").predict()
    assert story.outputs == [1]
    assert says in story.error


def test_a_buffer_with_the_name_of_a_file_is_the_buffer(start, write_model):
    folder = write_model(
        "import io\n"
        "from cog import File\n"
        "def predict(text: str) -> File:\n"
        "    open('out.txt', 'w').write('of an earlier prediction')\n"
        "    made = io.BytesIO(text.encode())\n"
        "    made.name = 'out.txt'\n"
        "    return made\n"
    )
    assert Path(start("predict.py", folder=folder).predict(text="fresh").value).read_text() == "fresh"
