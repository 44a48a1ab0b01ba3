"""A caller's text never becomes a path in a model, and no model gives out a file that is not its own.

One server with one process of each model; every case is a prediction. Foreign are a file that lay there before the
server was started, and the server's own.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from process import Halley

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

MODELS: Final = Path(__file__).with_name("models")
CANARY: Final = "CANARY-5a1c"
STAGED: Final = "data:text/plain,staged"
Shape = Callable[[str], Any]


def plain(text: str) -> Any:
    return text


def listed(text: str) -> Any:
    return [text]


def inside(*steps: str | int) -> Shape:
    """The text at the end of this way of members and indexes."""

    def shape(text: str) -> Any:
        value: Any = text
        for step in reversed(steps):
            value = [value] if isinstance(step, int) else {step: value}
        return value

    return shape


def nested(depth: int) -> Shape:
    return inside(*["child"] * depth, "image")


STAGEABLE: Final[list[tuple[str, Shape]]] = [
    *((name, plain) for name in ("path", "python_path", "optional", "file", "binary", "like", "picture", "marked")),
    *((name, plain) for name in ("exists", "path_or_int", "path_or_list", "path_or_text", "text_or_path")),
    *((name, listed) for name in ("listed", "pair", "bag", "frozen", "line", "sequence", "iterable")),
    *((name, listed) for name in ("path_or_list", "files2", "files1")),
    *((name, inside("image")) for name in ("cog_model", "data", "typed", "named", "plain2", "by_name2", "checked2")),
    *((name, inside("image")) for name in ("exists2", "like2", "node2", "text2", "plain1", "exists1")),
    *((name, inside("img")) for name in ("alias2", "by_name2", "choices2", "data2", "alias1")),
    ("table", inside("a")),
    ("mapping", inside("a", 0)),
    ("datas", inside(0, "image")),
    ("choices2", inside("picture")),
    ("way2", inside("files", 0)),
    ("camel2", inside("myImage")),
    ("outer2", inside("inner", "img")),
    ("box2", inside("value")),
    ("node2", nested(2)),
    ("either2", inside("job", "two")),
    *(("many2", inside(name, 0)) for name in ("listed", "bag", "line", "sequence", "pair", "lazy")),
    *(("many2", inside(name, "image")) for name in ("named", "typed", "data")),
    ("many2", inside("table", "a")),
    ("many2", inside("either")),
    ("many2", inside("old", "img")),
    ("many1", inside("files", 0)),
    ("many1", inside("table", "a")),
    ("many1", inside("inner", "img")),
]
"""Shapes for a file that is sent, and for a path of the server."""

ONLY_TEXT: Final[list[tuple[str, Shape]]] = [
    ("alias2", lambda text: {"image": "data:text/plain,hi", "img": text}),
    ("data", lambda text: {"image": STAGED, "spare": text}),
    ("named", listed),
    ("made", inside("name")),
    ("before2", inside("name")),
    ("after2", inside("name")),
    ("root1", inside("name")),
    ("opens2", inside("image")),
    ("maps2", inside("names", 0)),
    ("json2", lambda text: {"image": json.dumps(text)}),
    ("folder2", lambda text: {"image": str(Path(text).parent)}),
    ("many2", lambda text: {"keys": {text: "a"}}),
    ("node2", nested(12)),
    ("styled", lambda text: {"style": "/../" * 9 + text.removesuffix(".txt")}),
    ("chosen", plain),
    ("default", plain),
    ("path", lambda text: f"file://{text}"),
    ("path", lambda text: f"/proc/self/root{text}"),
]
"""Shapes in which nothing can be sent: code of the model's makes a path of text, or the schema cannot say it."""

MAY_SUCCEED: Final = {"path_or_text", "text_or_path", "text2", "styled"}
"""They get text as text, or a path that leads nowhere."""

STALE: Final[list[tuple[str, Shape]]] = [
    ("path", plain),
    ("file", plain),
    ("listed", listed),
    ("job", inside("image")),
]


class Bench:
    """The server, and what no prediction may show."""

    def __init__(self, halley: Halley, home: Path) -> None:
        self.halley = halley
        self.canary = home / "foreign" / "canary.txt"
        self.data = home / "data"
        self.open = home / "open"
        self.secrets = [CANARY, *json.loads((self.data / "secrets.json").read_text()).values()]

    def ask(self, model: str, **given: Any) -> dict[str, Any]:
        """The prediction, or the problem, with the contents of its files in `files`."""
        path = f"/v1/models/paths/{model}/predictions"
        _, _, answer = self.halley.call("POST", path, {"input": given}, headers={"Prefer": "wait=50"})
        links = [text for text in texts(answer.get("output")) if text.startswith(self.halley.url)]
        contents = [self.halley.call("GET", link, key=None)[2] for link in links]
        answer["files"] = [text.decode("latin-1") if isinstance(text, bytes) else json.dumps(text) for text in contents]
        return answer

    def shows(self, answer: dict[str, Any]) -> list[str]:
        """Which secrets are anywhere in it."""
        whole = json.dumps({key: value for key, value in answer.items() if key != "input"})
        return [secret for secret in self.secrets if isinstance(secret, str) and secret in whole]


def texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in texts(part)]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    home = tmp_path_factory.mktemp("paths")
    for name in ("foreign", "open"):
        (home / name).mkdir()
    (home / "foreign" / "canary.txt").write_text(CANARY)
    (home / "open" / "in.txt").write_text("opened")
    (home / "open" / "out.txt").symlink_to(home / "foreign" / "canary.txt")
    folders = {"in": "paths_in", "stale": "paths_stale", "out": "paths_out", "pieces": "paths_out/pieces.py"}
    folders["text"] = "paths_out/text.py"
    config = "".join(f'[models."paths/{name}"]\npath = "{MODELS / path}"\n' for name, path in folders.items())
    config += f'[inputs]\nallow_folders = ["{home / "open"}"]\n'
    config += f'[isolation]\nshare = ["{home / "foreign"}"]\n'  # a private /tmp would hide it
    try:
        with Halley(home, "--no-demo", config=config) as halley:
            yield Bench(halley, home)
    finally:
        for left in [*Path("/tmp").glob("paths-*.txt"), *Path("/dev/shm").glob("paths-*")]:
            left.unlink(missing_ok=True)


def refusal(answer: dict[str, Any]) -> str:
    """Why it was refused: by the create, or by the runner."""
    if "invalid_fields" in answer:
        return " ".join(f"{fault['field']} {fault['description']}" for fault in answer["invalid_fields"])
    assert answer["status"] == "failed", answer
    return str(answer["error"])


def test_no_shape_of_input_reads_a_foreign_file(bench: Bench) -> None:
    shapes = [("in", *case) for case in (*STAGEABLE, *ONLY_TEXT)] + [("stale", *case) for case in STALE]
    assert len(shapes) >= 80
    for model, name, shape in shapes:
        for foreign in (
            str(bench.canary),
            str(bench.data / "secrets.json"),
            os.path.relpath(bench.canary, MODELS / "paths_in"),
        ):
            given = shape(foreign)
            answer = bench.ask(model, **{name: given})
            assert bench.shows(answer) == [], (name, given)
            if name not in MAY_SUCCEED:
                said = refusal(answer)
                assert name in said, (given, said)
                assert "file" in said or "of" in said, (given, said)


@pytest.mark.parametrize(("name", "shape"), STAGEABLE)
def test_the_same_shape_takes_a_file_that_is_sent(bench: Bench, name: str, shape: Shape) -> None:
    answer = bench.ask("in", **{name: shape(STAGED)})
    assert str(answer.get("output")).split()[0] == "staged", answer


@pytest.mark.parametrize("name", ["path_or_text", "text_or_path"])
def test_text_for_a_path_or_text_stays_text(bench: Bench, name: str) -> None:
    for text in ("hello", "https://an.example page", "data: of mine, all of it", str(bench.canary)):
        assert f"text:{text}" in bench.ask("in", **{name: text})["output"]
    assert "text:hello" in bench.ask("in", text2={"image": "hello"})["output"]
    assert "text:hello" in bench.ask("in", many1={"text": "hello"})["output"]


def test_paths_that_the_model_names_are_accepted(bench: Bench) -> None:
    assert bench.ask("in")["output"] == "default default"
    assert bench.ask("in", default="default.txt")["output"] == "default default"
    assert bench.ask("in", chosen="other.txt")["output"] == "default other"
    assert bench.ask("in", data={"image": STAGED})["output"].split()[:2] == ["staged", "default"]
    assert bench.ask("in", plain2={"image": STAGED})["output"].split()[:2] == ["staged", "default"]
    assert bench.ask("in", styled={"style": "blue"})["output"].startswith("blue style")
    assert bench.ask("in", anything=str(bench.canary))["output"].startswith(f"text:{bench.canary}")


def test_a_folder_that_the_operator_opened_is_open_and_its_links_lead_nowhere(bench: Bench) -> None:
    assert bench.ask("in", path=str(bench.open / "in.txt"))["output"].split()[0] == "opened"
    assert bench.ask("in", plain2={"image": str(bench.open / "in.txt")})["output"].split()[0] == "opened"
    for name in ("out.txt", "../foreign/canary.txt", "absent/../out.txt"):
        answer = bench.ask("in", path=f"{bench.open}/{name}")
        assert bench.shows(answer) == []
        assert "path" in refusal(answer)


FOREIGN: Final = 28
ORDINARY: Final = 22


def kinds(which: str) -> list[str]:
    """The names of the cases, as the model has them."""
    text = (MODELS / "paths_out" / "predict.py").read_text()
    table = text.partition(f"\n{which} = {{\n")[2].partition("\n}\n")[0]
    return [line.split('"')[1] for line in table.splitlines() if line.startswith('    "')]


def test_no_output_delivers_a_foreign_file(bench: Bench) -> None:
    bench.ask("out", kind="in memory")  # something is stored
    names = kinds("FOREIGN")
    assert len(names) == FOREIGN
    for kind in names:
        answer = bench.ask("out", kind=kind, canary=str(bench.canary), data=str(bench.data))
        assert (answer["status"], answer["files"], bench.shows(answer)) == ("failed", [], []), (kind, answer)
        assert "output" in answer["error"], (kind, answer["error"])


@pytest.mark.parametrize("kind", kinds("ORDINARY"))
def test_ordinary_outputs_are_delivered(bench: Bench, kind: str) -> None:
    given = {"file": "data:text/plain,ordinary"} if kind == "its input" else {}
    answer = bench.ask("out", kind=kind, **given)
    assert answer["status"] == "succeeded", answer
    (content,) = answer["files"]
    assert content.strip() == "ordinary" or "VERSION" in content


def test_a_file_comes_though_the_schema_names_none(bench: Bench) -> None:
    for text in ("first", "second"):
        answer = bench.ask("text", text=text)
        assert (answer["status"], answer["files"]) == ("succeeded", [text])
    until_empty = time.monotonic() + 120
    while list((bench.data / "runs").iterdir()):
        assert time.monotonic() < until_empty
        time.sleep(0.02)


def test_pieces_are_looked_at_one_by_one(bench: Bench) -> None:
    assert len(kinds("ORDINARY")) == ORDINARY
    answer = bench.ask("pieces", paths=["own.txt", str(bench.canary), "own.txt"])
    assert (answer["status"], answer["files"]) == ("failed", ["ordinary", "ordinary"])
    assert "canary.txt is not given out" in answer["error"]
