"""`k=v`, `k=@file`, `k:=json`."""

import pytest

from halley.cli.failures import ServerRefused, Unreachable, UsageProblem
from halley.cli.inputs import build_input, input_properties, is_text_stream

DOCUMENT = {
    "components": {
        "schemas": {
            "Input": {
                "properties": {
                    "prompt": {"type": "string"},
                    "width": {"type": "integer"},
                    "scale": {"type": "number"},
                    "loud": {"type": "boolean"},
                    "size": {"allOf": [{"$ref": "#/components/schemas/size"}]},
                    "image": {"type": "string", "format": "uri"},
                    "sizes": {"type": "array", "items": {"type": "integer"}},
                    "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                }
            },
            "size": {"type": "integer", "enum": [1, 2]},
            "Output": {"type": "array", "x-cog-array-type": "iterator", "x-cog-array-display": "concatenate"},
        }
    }
}


def no_upload(path):
    raise AssertionError(path)


def build(*pairs, properties=None, upload=no_upload):
    return build_input(pairs, properties, upload)


def test_the_schema_says_what_plain_text_means():
    pairs = ["prompt=12", "width=12", "scale=2", "loud=yes", "size=2", "sizes=[1,2]", "maybe=3"]
    assert build(*pairs, properties=input_properties(DOCUMENT)) == {
        "prompt": "12", "width": 12, "scale": 2, "loud": True, "size": 2, "sizes": [1, 2], "maybe": 3,
    }  # fmt: skip
    assert build("sizes=4", "width=wide", properties=input_properties(DOCUMENT)) == {"sizes": [4], "width": "wide"}


def test_without_a_schema_numbers_and_truth_values_are_recognised():
    assert build("a=1", "b=-2.5", "c=true", "d=007", "e=", "f=x=y") == {
        "a": 1, "b": -2.5, "c": True, "d": "007", "e": "", "f": "x=y",
    }  # fmt: skip


def test_json_is_taken_as_it_is():
    assert build('a:={"b": [1, null]}', 'at:="@x"', "url=http://h:80/?a=b") == {
        "a": {"b": [1, None]}, "at": "@x", "url": "http://h:80/?a=b",
    }  # fmt: skip


@pytest.mark.parametrize("pair", ["prompt", "=x", "a:={", "image=@/nowhere/cat.png"])
def test_what_cannot_be_read_is_refused(pair):
    with pytest.raises(UsageProblem):
        build(pair)


def test_unknown_names_get_a_suggestion():
    with pytest.raises(UsageProblem) as refused:
        build("promt=x", properties=input_properties(DOCUMENT))
    assert refused.value.hint == "Did you mean prompt?"


def test_files_go_up_or_inside(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(b"hi")

    def refuses(status):
        def upload(path):
            raise ServerRefused(status, "no")

        return upload

    assert build(f"f=@{file}", upload=lambda path: f"up:{path.name}") == {"f": "up:a.txt"}
    assert build(f"f=@{file}", upload=refuses(404)) == {"f": "data:text/plain;base64,aGk="}
    with pytest.raises(ServerRefused):
        build(f"f=@{file}", upload=refuses(413))

    def breaks(path):
        raise Unreachable("broke") from OSError("broke")

    with pytest.raises(Unreachable):
        build(f"f=@{file}", upload=breaks)


def test_odd_schemas_say_nothing():
    for document in (None, {}, {"components": {"schemas": {"Input": {}}}}, []):
        assert input_properties(document) is None
        assert not is_text_stream(document)
    assert is_text_stream(DOCUMENT)
