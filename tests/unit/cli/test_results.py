"""What a command says about a prediction that is over, and where its output may go."""

import io
import json
from pathlib import Path

import pytest

from halley.cli.client import Client
from halley.cli.failures import UsageProblem
from halley.cli.placing import check_place
from halley.cli.results import metrics_line, place_for_files, report_end, write_output
from halley.cli.screen import Screen
from halley.cli.target import ServerTarget

FAILED = {"id": "p1", "status": "failed", "error": "ValueError: no\n", "logs": "one\ntwo\n", "metrics": {}}


def ended(prediction, **options):
    said = io.StringIO()
    report_end(Screen(io.StringIO(), said, {}), prediction, **options)
    return said.getvalue().splitlines()


def test_figures_are_short_and_have_no_powers_of_ten():
    metrics = {"a": 3.6e-05, "b": 43701.4, "c": 0.1194, "d": 2.0, "e": 12.345, "f": 0.0, "g": 3, "h": "word"}
    line = metrics_line({"metrics": metrics})
    assert line == "a 0.000036 · b 43701 · c 0.119 · d 2 · e 12.3 · f 0 · g 3 · h word"


def test_logs_that_were_seen_are_not_shown_again():
    assert ended(FAILED, logs_shown=True) == ["error: prediction p1 failed: ValueError: no"]


def test_logs_that_were_not_seen_are_shown_with_the_way_to_more():
    lines = ["  last log lines", "    | one", "    | two"]
    assert ended(FAILED)[1:] == [*lines, "  full log:  halley predictions logs p1"]
    assert ended(FAILED, is_kept=False)[1:] == lines


def test_a_place_is_looked_at_before_anything_runs(tmp_path):
    (tmp_path / "file").write_text("")
    check_place(None, is_folder=True)
    check_place(tmp_path / "new" / "folder", is_folder=True)
    check_place(tmp_path / "file", is_folder=False)
    with pytest.raises(UsageProblem, match="is a file, not a folder"):
        check_place(tmp_path / "file", is_folder=True)
    with pytest.raises(UsageProblem, match="cannot be written"):
        check_place(tmp_path / "file" / "picture.png", is_folder=False)


def test_files_get_a_name_that_is_free(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = {"output": "http://h/d/1/cat.png"}
    two = {"output": ["http://h/d/1/cat.png", "http://h/d/2/dog.png"]}
    assert str(place_for_files(one)) == "output.png"
    (tmp_path / "output-2.png").write_text("mine")
    assert str(place_for_files(one)) == "output.png"
    assert str(place_for_files(two)) == "output2.png"
    assert place_for_files({"output": "words"}) is None


NESTED = {"main": "data:text/plain,one", "more": ["data:text/plain,two", {"deep": "data:text/plain,three"}], "n": 4}


def test_every_file_of_lists_and_objects_is_saved_beside_the_name(tmp_path: Path) -> None:
    prediction = {"id": "p1", "status": "succeeded", "output": NESTED}
    with Client(ServerTarget(root="http://127.0.0.1:1", api="http://127.0.0.1:1/v1", token=None)) as client:
        write_output(client, Screen(io.StringIO(), io.StringIO()), prediction, tmp_path / "out.txt")
    texts = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert texts == {"out-1.txt": "one", "out-2.txt": "two", "out-3.txt": "three"}


def test_a_folder_takes_every_file_and_the_record(tmp_path: Path) -> None:
    prediction = {"id": "p1", "status": "succeeded", "output": NESTED}
    with Client(ServerTarget(root="http://127.0.0.1:1", api="http://127.0.0.1:1/v1", token=None)) as client:
        write_output(client, Screen(io.StringIO(), io.StringIO()), prediction, tmp_path / "kept")
    record = json.loads((tmp_path / "kept" / "prediction.json").read_text())
    assert [asset["pointer"] for asset in record["assets"]] == ["/main", "/more/0", "/more/1/deep"]
    saved = sorted((tmp_path / "kept" / asset["file"]).read_text() for asset in record["assets"])
    assert saved == ["one", "three", "two"]
