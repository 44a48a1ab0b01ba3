"""The OpenAPI document that is made of a model's signature."""

import json
from pathlib import Path

import pytest

GOLDEN = Path(__file__).with_name("golden")


@pytest.fixture
def components(describe):
    return lambda name: describe(f"shown.py:{name}")["schema"]["components"]["schemas"]


def test_document_of_a_picture_model(describe):
    described = describe("shown.py:Paint")
    assert described["schema"] == json.loads((GOLDEN / "paint.json").read_text())
    assert described["file_inputs"] is True
    assert described["warnings"] == []


def test_rare_inputs(components):
    found = components("rare")
    properties = found["Input"]["properties"]
    assert found["Input"]["required"] == ["anything", "table", "counts"]
    assert [schema["x-order"] for schema in properties.values()] == list(range(len(properties)))
    assert properties["anything"] == {"title": "Anything", "x-order": 0}
    assert properties["table"]["type"] == "object"
    assert properties["counts"]["additionalProperties"] == {"type": "integer"}
    assert (properties["words"]["minItems"], properties["words"]["default"]) == (1, ["a"])
    assert properties["level"]["allOf"] == [{"$ref": "#/components/schemas/level"}]
    assert found["level"] == {"title": "level", "description": "An enumeration.", "enum": [1, 2], "type": "integer"}
    assert (found["colour"]["enum"], properties["colour"]["default"]) == (["red", "blue"], "red")
    assert properties["either"]["anyOf"] == [{"type": "integer"}, {"type": "string"}]
    assert properties["pair"]["items"]["anyOf"] == [{"type": "integer"}, {"type": "string"}]
    assert properties["flags"]["items"] == {"allOf": [{"$ref": "#/components/schemas/flags"}]}
    assert (properties["document"]["format"], properties["document"]["nullable"]) == ("uri", True)
    # a component of ours keeps its name
    assert properties["Output"]["allOf"] == [{"$ref": "#/components/schemas/Output_choices"}]


def test_output_of_named_members(components):
    output = components("rare")["Output"]
    assert output["type"] == "object"
    assert output["required"] == ["name"]
    member = output["properties"]["members"]["items"]
    assert member["properties"]["file"] == {"type": "string", "format": "uri", "title": "File"}
    assert member["properties"]["score"]["nullable"] is True


@pytest.mark.parametrize(
    ("name", "output"),
    [
        (
            "text",
            {
                "title": "Output",
                "type": "array",
                "items": {"type": "string"},
                "x-cog-array-type": "iterator",
                "x-cog-array-display": "concatenate",
            },
        ),
        (
            "pictures",
            {
                "title": "Output",
                "type": "array",
                "items": {"type": "string", "format": "uri"},
                "x-cog-array-type": "iterator",
            },
        ),
        ("optional", {"title": "Output", "type": "string", "nullable": True}),
        ("nothing", {"title": "Output", "nullable": True}),
    ],
)
def test_outputs(components, name, output):
    assert components(name)["Output"] == output


def test_streaming_mark(describe):
    paths = describe("shown.py:pictures")["schema"]["paths"]
    assert paths["/predictions"]["post"]["x-cog-streaming"] is True
    assert "x-cog-streaming" not in describe("shown.py:text")["schema"]["paths"]["/predictions"]["post"]


def test_what_is_not_known_is_taken_with_a_warning(describe):
    described = describe("shown.py:unknown")
    properties = described["schema"]["components"]["schemas"]["Input"]["properties"]
    assert properties["thing"] == {"title": "Thing", "x-order": 0}
    assert any("Missing" in warning for warning in described["warnings"])
    assert any("input other" in warning for warning in described["warnings"])
    assert described["schema"]["components"]["schemas"]["Output"] == {"title": "Output", "type": "integer"}


def test_concurrency_of_the_decorator(describe):
    described = describe("shown.py:concurrent")
    assert (described["async"], described["max_concurrency"]) == (True, 3)


def test_pydantic_models(describe, start, write_model):
    pytest.importorskip("pydantic")
    folder = write_model(
        "from pydantic import BaseModel\nfrom typing import Optional\nfrom cog import Path\n"
        "class Out(BaseModel):\n    a: int\n    p: Optional[Path] = None\n"
        "def predict() -> Out:\n    return Out(a=1, p=Path(__file__))\n"
    )
    output = describe("predict.py", folder=folder)["schema"]["components"]["schemas"]["Output"]
    assert output["required"] == ["a"]
    assert output["properties"]["p"] == {"type": "string", "format": "uri", "nullable": True, "title": "P"}
    story = start("predict.py", folder=folder).predict()
    assert (story.value["a"], story.done["paths"]) == (1, [["p"]])


def test_a_typed_dict_names_its_members_only_if_one_of_them_is_a_file(describe, write_model):
    text = """
from typing import NotRequired, Required, TypedDict
from cog import Path

class Plain(TypedDict):
    size: int

class Part(TypedDict, total=False):
    image: Required[Path]
    mask: NotRequired[Path]
    plain: Plain

def run(plain: Plain, part: Part) -> str:
    return "ok"
"""
    described = describe("predict.py", folder=write_model(text))
    properties = described["schema"]["components"]["schemas"]["Input"]["properties"]
    assert properties["plain"] == {"type": "object", "title": "Plain", "x-order": 0}
    part = properties["part"]
    assert part["required"] == ["image"]
    assert part["properties"]["mask"] == {"type": "string", "format": "uri", "title": "Mask"}
    assert part["properties"]["plain"] == {"type": "object", "title": "Plain"}
    assert described["file_inputs"] is True
    assert described["warnings"] == []
