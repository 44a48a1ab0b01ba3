"""Snippets: each literal evaluates to the input, whatever its texts are, and no key is ever part of them."""

import ast
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from halley.cli.inputs import build_input, read_pairs
from halley.web.snippets.code import code_for, shortened
from halley.web.snippets.literals import GO, JAVASCRIPT, JSON, PYTHON, literal
from halley.web.snippets.request import CLIENTS, WAYS, Client, OutputKind, SnippetRequest, output_kind

HOSTILE = [
    "",
    "' \" ` \\ $HOME $(id) `id` !! %s {x} ${x} \\u0041",
    "'; rm -rf / #",
    "\"\"\"\n'''",
    "line\r\nend\ttab\x00nul\x1b[31m",
    "\u202egnp.exe\u2066\u2069\u200f\ufeff",
    "\u2028\u2029\x85",
    "日本語 🎨 👩‍👩‍👧 e\u0301",
    "</script><!-- --><script>alert(1)</script>",
    "@file",
    "-x",
    "007",
    "True",
    "[1",
    "__proto__",
    "a\\",
]
DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")
# on a loaded machine, inputs are made slowly
RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30))
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
inputs = st.dictionaries(texts, values, max_size=5)
typeable = st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,9}", fullmatch=True), values, max_size=4)


def asked(given_input: dict[str, Any], version: str | None = None, output: OutputKind = "value") -> SnippetRequest:
    return SnippetRequest(
        base_url="http://127.0.0.1:1986", model="demo/paint", version=version, input=given_input, output=output
    )


@given(values)
@settings(RELAXED)
def test_python_evaluates_to_the_value(value: Any) -> None:
    assert same(ast.literal_eval(literal(value, PYTHON)), value)


@given(inputs)
@settings(RELAXED)
def test_the_json_of_curl_reaches_it_unchanged(given_input: dict[str, Any]) -> None:
    words = shlex.split(code_for("curl", "wait", asked(given_input)))
    assert same(json.loads(words[words.index("-d") + 1]), {"input": given_input})


@given(typeable)
@settings(RELAXED, max_examples=60)
def test_the_words_of_the_command_give_the_input(given_input: dict[str, Any]) -> None:
    words = shlex.split(code_for("halley", "wait", asked(given_input)), comments=True)
    words = [word for word in words if word != "\n"]  # a shell joins a line that ends in a backslash with the next
    pairs = read_pairs(words[words.index("demo/paint") + 1 :])
    assert same(build_input(pairs, None, str), given_input)


@given(values)
@settings(RELAXED)
def test_go_texts_evaluate_to_the_value(value: Any) -> None:
    written = literal(value, GO)
    assert written.isascii() or written.replace("\n", "").replace("\t", "").isprintable()
    for text in texts_of(value):
        assert unquoted_go(literal(text, GO)) == text


def test_javascript_evaluates_to_the_value() -> None:
    if (node := shutil.which("node")) is None:
        pytest.skip("Node.js")
    found: list[Any] = []
    collect(found)
    program = "\n".join(f"console.log(JSON.stringify([{literal(value, JAVASCRIPT)}]));" for value in found)
    done = subprocess.run([node, "-"], input=program, capture_output=True, text=True, timeout=120, check=True)
    for line, value in zip(done.stdout.split("\n")[:-1], found, strict=True):
        assert same(json.loads(line), [value])


def collect(found: list[Any]) -> None:
    @given(values)
    @settings(RELAXED, max_examples=100, database=None)
    def gather(value: Any) -> None:
        found.append(value)

    gather()


@pytest.mark.parametrize("client", CLIENTS)
@given(inputs)
@settings(RELAXED, max_examples=10)
def test_nothing_changes_the_direction_of_the_code(client: Client, given_input: dict[str, Any]) -> None:
    for way in WAYS:
        code = code_for(client, way, asked(given_input))
        assert not DIRECTIONS.search(code)
        assert all(one.isprintable() for line in code.split("\n") for one in line.replace("\t", ""))


def test_names_that_no_command_line_can_carry_are_said() -> None:
    for name in ("a=b", "a:b", "-o", "", "\u202ea"):
        assert "cannot be written" in code_for("halley", "wait", asked({name: 1}))


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("version", [None, "a" * 64])
def test_every_snippet_has_the_address_and_the_name_of_the_variable_only(client: Client, version: str | None) -> None:
    for way in WAYS:
        code = code_for(client, way, asked({"prompt": "sea"}, version))
        if (client, way) == ("halley", "webhook"):
            assert "no option for a webhook" in code
            continue
        assert "http://127.0.0.1:1986" in code
        assert "REPLICATE_API_TOKEN" in code
        assert (version or "demo") in code


@pytest.mark.parametrize("output", ["file", "files", "text", "value"])
@pytest.mark.parametrize("client", ["python", "python2"])
def test_python_snippets_compile(client: Client, output: OutputKind) -> None:
    for way in WAYS:
        compile(code_for(client, way, asked({"prompt": "sea"}, output=output)), "snippet", "exec")


def test_go_snippets_parse(tmp_path: Path) -> None:
    """With gofmt, the parser itself; without it, what can be seen: braces that match, and each import used."""
    for way in WAYS:
        for version in (None, "a" * 64):
            code = code_for("go", way, asked({"prompt": 'a "}{" b', "size": [1, 2**70], "deep": {"a": None}}, version))
            bare = re.sub(r'"(\\.|[^"\\])*"', '""', code)
            assert [bare.count(one) for one in "{(["] == [bare.count(one) for one in "})]"]
            for name in re.findall(r'^\t"(?:encoding/)?(\w+)"$', code, re.MULTILINE):
                assert f"{name}." in bare
            if gofmt := shutil.which("gofmt"):
                done = subprocess.run(
                    [gofmt, "-e"], input=code, capture_output=True, text=True, timeout=120, check=False
                )
                assert done.returncode == 0, done.stderr


def test_a_file_inside_the_input_is_cut() -> None:
    short, names = shortened(asked({"image": "data:image/png;base64," + "A" * 100_000, "prompt": "sea"}))
    assert names == ("image",)
    assert len(code_for("python", "wait", short)) < 1000
    assert "sea" in code_for("python", "wait", short)


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "string", "format": "uri"}, "file"),
        ({"type": "array", "items": {"type": "string", "format": "uri"}}, "files"),
        ({"type": "array", "items": {"type": "string"}, "x-cog-array-display": "concatenate"}, "text"),
        ({"type": "array", "items": {"type": "string"}}, "value"),
        ({"type": "object"}, "value"),
        (None, "value"),
    ],
)
def test_the_schema_says_what_the_output_is(schema: Any, kind: str) -> None:
    assert output_kind(schema) == kind


def test_json_is_json() -> None:
    assert json.loads(literal({"a": ["\u202e", 1e300, None]}, JSON)) == {"a": ["\u202e", 1e300, None]}


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types, but for numbers that JSON does not tell apart."""
    return json.dumps(plain(one), sort_keys=True) == json.dumps(plain(other), sort_keys=True)


def plain(value: Any) -> Any:
    match value:
        case bool():
            return value
        case int() | float():
            return float(value) or 0.0
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case _:
            return value


def texts_of(value: Any) -> Iterable[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, item in value.items():
                yield key
                yield from texts_of(item)
        case list():
            for item in value:
                yield from texts_of(item)


def unquoted_go(text: str) -> str:
    """What a Go compiler reads. Source: the Go specification, string literals."""
    assert text[0] == text[-1] == '"'
    named = {"\\n": "\n", "\\r": "\r", "\\t": "\t", '\\"': '"', "\\\\": "\\"}
    whole = re.fullmatch(r'(\\u[0-9a-f]{4}|\\U[0-9a-f]{8}|\\[nrt"\\]|[^"\\\n])*', text[1:-1])
    assert whole, text
    return re.sub(
        r"\\(u[0-9a-f]{4}|U[0-9a-f]{8}|.)",
        lambda found: named.get(found[0]) or chr(int(found[1][1:], 16)),
        text[1:-1],
    )
