"""The form that an author writes into `cog.yaml`: read, refused by line, and part of the version's document."""

import json
from pathlib import Path
from typing import Any

import pytest

from halley.demo import DEMO_FOLDER
from halley.errors import Unusable
from halley.replicas.form_yaml import form_faults, with_form
from halley.replicas.inspect import inspect_folder
from halley.replicas.loading import load_source
from halley.web.forms.schema import read_form

FORM = """
run: run.py
x-halley:
  form:
    order: [text]
    groups:
      Size: [width]
    labels: {text: What to say}
    hidden: [debug]
    examples:
      - title: Short
        input: {text: hi}
"""
DOCUMENT: Any = {
    "components": {
        "schemas": {
            "Input": {
                "type": "object",
                "properties": {"text": {"type": "string"}, "width": {"type": "integer"}, "debug": {"type": "boolean"}},
            }
        }
    }
}
WRONG_EXAMPLE = (
    "cog.yaml: `x-halley.form.examples`: example 1 is not a valid input: "
    'input.width: "wide" is not of type "integer"; there is no input depth'
)


def write(folder: Path, cog: str, *, ready: Any = None) -> Path:
    (folder / "cog.yaml").write_text(cog)
    (folder / "run.py").write_text("def run(text: str) -> str:\n    return text\n")
    if ready is not None:
        (folder / ".cog").mkdir()
        (folder / ".cog" / "openapi_schema.json").write_text(json.dumps(ready))
    return folder


def test_a_form_is_part_of_the_document(tmp_path: Path) -> None:
    source = load_source(write(tmp_path, FORM, ready=DOCUMENT))
    assert source.warnings == ()
    assert source.openapi_schema is not None
    document = json.loads(source.openapi_schema)
    assert document["components"] == DOCUMENT["components"]
    assert with_form(source.openapi_schema, source.form) == source.openapi_schema
    form = read_form(document)
    assert [field.name for field in form.fields] == ["text", "width", "debug"]
    assert form.fields[0].label == "What to say"
    assert (form.first, form.hidden) == ({"text"}, {"debug"})
    assert [(group.title, group.names) for group in form.groups] == [("Size", ("width",))]
    assert [(one.title, one.input) for one in form.examples] == [("Short", {"text": "hi"})]
    assert form_faults(source.openapi_schema) == []


def test_without_a_form_the_document_stays_as_it_is(tmp_path: Path) -> None:
    source = load_source(write(tmp_path, "run: run.py\n", ready=DOCUMENT))
    assert source.openapi_schema == json.dumps(DOCUMENT).encode()


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("[text]", r"line 3: `x-halley\.form` must be a table with order, groups"),
        ("{order: text}", r"line 3: `x-halley\.form\.order` must be a list of names"),
        ("{labels: {a: 5}}", r"`x-halley\.form\.labels` must be a table of names of inputs and texts"),
        ("{groups: {Size: width}}", r"`x-halley\.form\.groups` must be a table of titles"),
        ("{examples: [{text: hi}]}", r"`x-halley\.form\.examples` must be a list of tables with `input`"),
        ("{examples: [{input: {day: 2026-01-31}}]}", r"`x-halley\.form\.examples` must be"),
    ],
)
def test_a_wrong_form_is_refused_with_its_line(tmp_path: Path, form: str, said: str) -> None:
    with pytest.raises(Unusable, match=said):
        load_source(write(tmp_path, f"run: run.py\nx-halley:\n  form: {form}\n"))


def test_wrong_keys_and_names_are_reported_with_suggestions(tmp_path: Path) -> None:
    form = "{ordre: [text], hidden: [debgu], help: {size: 1 to 9}, examples: [{input: {width: wide, depth: 1}}]}"
    source = load_source(write(tmp_path, f"run: run.py\nx-halley:\n  form: {form}\n", ready=DOCUMENT))
    assert "line 3: `x-halley.form.ordre` is not a key" in source.warnings[0]
    assert "Did you mean `x-halley.form.order`?" in source.warnings[0]
    assert source.openapi_schema is not None
    assert form_faults(source.openapi_schema) == [
        "cog.yaml: `x-halley.form.hidden` names debgu, which is not an input. Did you mean `debug`?",
        "cog.yaml: `x-halley.form.help` names size, which is not an input.",
        WRONG_EXAMPLE,
    ]


def test_the_form_of_the_demo_model_is_right() -> None:
    found = inspect_folder(DEMO_FOLDER / "paint")
    assert found.warnings == ()
    form = read_form(json.loads(found.openapi_schema))
    assert {"prompt", "seed"} == form.first
    assert len(form.examples) == 3
