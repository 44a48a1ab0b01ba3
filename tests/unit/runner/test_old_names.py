"""Old and new names of the same things: all work, and the log says once which are old."""

import json

import pytest


def replica_log(child):
    child.stop()
    child.read_to_end()
    return "".join(f["text"] for f in child.seen if f["t"] == "log" and f["id"] is None).splitlines()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("class Runner(cog.BaseRunner):\n    def run(self) -> int: return 1\n", []),
        ("def run() -> int: return 1\n", []),
        ("def predict() -> int: return 1\n", []),
        ("class Runner:\n    def predict(self) -> int: return 1\n", ["Runner.predict() is deprecated"]),
        (
            "class Predictor(cog.BasePredictor):\n    def predict(self) -> int: return 1\n",
            [
                (
                    "the name Predictor is deprecated, call the class Runner; Predictor.predict() is deprecated, "
                    "name it run(); BasePredictor is deprecated, inherit from BaseRunner"
                )
            ],
        ),
        (
            "class Runner:\n    def run(self) -> int: return 1\n    def predict(self) -> int: return 2\n",
            ["Runner has both run() and predict(); run() is used"],
        ),
        (
            (
                "class Runner:\n    def run(self) -> int: return 1\n"
                "class Predictor:\n    def predict(self) -> int: return 2\n"
            ),
            ["both Runner and Predictor are defined; Runner is used"],
        ),
        (
            "class Runner: pass\nclass Predictor:\n    def predict(self) -> int: return 1\n",
            [
                (
                    "the name Predictor is deprecated, call the class Runner; Predictor.predict() is deprecated, "
                    "name it run()"
                )
            ],
        ),
        (
            (
                "import warnings\nfrom cog import ExperimentalFeatureWarning, emit_metric\n"
                "from cog import emit_metric\n"
                "warnings.filterwarnings('ignore', category=ExperimentalFeatureWarning)\n"
                "def run() -> int:\n    emit_metric('a', 1)\n    return 1\n"
            ),
            ["cog.ExperimentalFeatureWarning is deprecated", "cog.emit_metric is deprecated"],
        ),
        ("def run(x=1): return x\n", ["input x has no type", "no return type"]),
    ],
)
def test_old_names_work_and_are_named_in_the_log(start, write_model, text, says):
    child = start("predict.py", folder=write_model("import cog\n" + text))
    assert [child.predict().value, child.predict().value] == [1, 1]
    log = replica_log(child)
    assert [any(word in line for line in log) for word in says] == [True] * len(says), log
    assert len(log) == len(says)


def test_base_class_calls_one_name_by_the_other(start, write_model):
    text = (
        "import cog\nclass Old(cog.BasePredictor):\n    def predict(self, x: int) -> int: return x\n"
        "class New(cog.BaseRunner):\n    def run(self, x: int) -> int: return x\n"
        "def run() -> list:\n    return [Old().run(x=1), New().predict(2), hasattr(cog, 'nothing')]\n"
    )
    assert start("predict.py", folder=write_model(text)).predict().value == [1, 2, False]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("x = cog.Input(default_factory=list)", "TypeError: Input() takes no default_factory"),
        ("x = cog.concurrent(max=0)", "ValueError: concurrent(max=...) takes a whole number of at least 1"),
        ("x = cog.concurrent(max=True)", "TypeError: concurrent(max=...) takes a whole number"),
        ("x = cog.concurrent(max=2)(lambda: 1)", "TypeError: concurrent(max=2) is for async functions"),
    ],
)
def test_misuse_is_refused_with_its_line(start, write_model, line, says):
    folder = write_model(f"import cog\n{line}\ndef run() -> int: return 1\n")
    refused = start("predict.py", folder=folder, ready=False).read_until("refused")
    assert says in refused["error"]
    assert "(predict.py:2)" in refused["error"]


def test_inputs_arrive_as_what_they_are_annotated_with(start, write_model):
    text = """
import dataclasses, enum, pydantic, pydantic.v1
from typing import Annotated, Dict, List, Optional, Set, Tuple
import cog

class Colour(enum.Enum):
    RED = "red"

@dataclasses.dataclass
class Size:
    width: int
    colour: Colour = Colour.RED

class Box(pydantic.BaseModel):
    size: Size
    names: List[str] = []

class Old(pydantic.v1.BaseModel):
    file: cog.Path

def run(
    pair: Tuple[int, str], bag: Set[int], sizes: List[Size], box: Box, old: Old, table: Dict[str, Colour],
    raw: Annotated[List[Size], cog.Opaque], free: Annotated[Optional[dict], cog.Opaque] = None,
    default: Tuple[int, ...] = (1, 2),
) -> List[str]:
    return [repr(x) for x in (pair, bag, sizes, box.size.width, type(old.file).__name__, table, raw, free, default)]
"""
    given = {
        "pair": [1, "a"],
        "bag": [2, 2],
        "sizes": [{"width": 3, "more": 1}, {"width": 4, "colour": "red"}],
        "box": {"size": {"width": 5}},
        "old": {"file": "/tmp/x"},
        "table": {"a": "red"},
        "raw": [{"x": 1}],
    }
    child = start("predict.py", folder=write_model(text))
    assert child.predict(paths=[["old", "file"]], **given).value == [
        "(1, 'a')",
        "{2}",
        "[Size(width=3, colour=<Colour.RED: 'red'>), Size(width=4, colour=<Colour.RED: 'red'>)]",
        "5",
        "'Path'",
        "{'a': <Colour.RED: 'red'>}",
        "[{'x': 1}]",
        "None",
        "(1, 2)",
    ]
    assert "input box" in child.predict(**{**given, "box": {"size": {"width": "wide"}}}).error
    described = next(frame for frame in child.seen if frame["t"] == "described")
    properties = described["schema"]["components"]["schemas"]["Input"]["properties"]
    assert (properties["pair"]["minItems"], properties["pair"]["maxItems"]) == (2, 2)
    assert properties["raw"]["items"] == {"type": "object"}
    assert (properties["free"]["type"], properties["free"]["nullable"]) == ("object", True)
    assert properties["default"]["default"] == [1, 2]
    assert "minItems" not in properties["default"]
    assert described["file_inputs"] is True
    assert json.dumps(described["warnings"]) == "[]"
