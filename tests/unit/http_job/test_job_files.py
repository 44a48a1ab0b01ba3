"""A job file is checked whole: what is wrong is named by its place, with what was probably meant."""

import re
from pathlib import Path

import msgspec
import pytest

from halley.errors import Unusable
from halley.providers.http_job import tables
from halley.providers.http_job.faults import JobFileError
from halley.providers.http_job.reading import job_of, read_job

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "jobs"
GOOD = """
[create]
path = "/jobs"
id = "/id"
body = { prompt = "{input.prompt}" }

[poll]
path = "/jobs/{id}"

[answer]
status = "/status"
output = "/url"

[status]
succeeded = ["done"]
failed = ["failed"]

[models."acme/clip"]
output = "file"
input = { prompt = { required = true } }
"""

WRONG = {
    "an unknown member": ('path = "/jobs"', 'pth = "/jobs"', "create.pth", "Did you mean 'path'"),
    "a missing member": ('id = "/id"', "", "create", "no member `id`"),
    "a member of a wrong type": ('path = "/jobs"', "path = 3", "create.path", "expected"),
    "an unknown table": ("[poll]", "[pol]", "pol", "Did you mean 'poll'"),
    "an unknown method": ("[poll]", '[poll]\nmethod = "FETCH"', "poll.method", "'FETCH' is not possible"),
    "a path of JSONPath": ('status = "/status"', 'status = "$.data.status"', "answer.status", "'/data/status'"),
    "a path with dots": ('output = "/url"', 'output = "items[0].url"', "answer.output", "'/items/0/url'"),
    "a pointer of a URI": ('output = "/url"', 'output = "#/url"', "answer.output", "'/url'"),
    "a wrong escape": ('output = "/url"', 'output = "/a~b"', "answer.output", "~0"),
    "an empty list of places": ('output = "/url"', "output = []", "answer.output", "1 to 10"),
    "an unknown member of a place": (
        'output = "/url"',
        'output = { at = "/a", eech = "/b" }',
        "answer.output.eech",
        "each",
    ),
    "an unknown input": ("{input.prompt}", "{input.promt}", "create.body.prompt", "Did you mean 'prompt'"),
    "an unknown root": ("{input.prompt}", "{inputs.prompt}", "create.body.prompt", "'input.prompt'"),
    "a name that is not known there": ("/jobs/{id}", "/jobs/{input.prompt}", "poll.path", "There is no".lower()),
    "a value that no model has": ("{input.prompt}", "{value.model}", "create.body.prompt", "no member 'model'"),
    "a single brace": ("{input.prompt}", "{input.prompt", "create.body.prompt", "single {"),
    "an input that is sent nowhere": (
        "input = { prompt",
        "input = { size = {}, prompt",
        'acme/clip".input.size',
        "sent nowhere",
    ),
    "a word that means two things": ('failed = ["failed"]', 'failed = ["Done"]', "status.failed", "status.succeeded"),
    "a word twice": ('["done"]', '["done", " DONE "]', "status.succeeded", "twice"),
    "no word for a failure": ('failed = ["failed"]', "failed = []", "status.failed", "empty"),
    "a path without a slash": ('path = "/jobs"', 'path = "jobs"', "create.path", "slash"),
    "a path that leads away": ('path = "/jobs"', 'path = "//evil.example/jobs"', "create.path", "another place"),
    "a path that leads up": ('path = "/jobs"', 'path = "/a/../jobs"', "create.path", "another place"),
    "a path with a space": ('path = "/jobs"', 'path = "/my jobs"', "create.path", "percent-encoded"),
    "a poll that names no run": ("/jobs/{id}", "/jobs", "poll", "does not have {id}"),
    "a body of a GET": ("[poll]", "[poll]\nbody = {}", "poll.body", "GET has no body"),
    "an encoding without a body": ("[poll]", '[poll]\nencoding = "form"', "poll.encoding", "no body"),
    "a date in a body": ("{ prompt =", "{ day = 2026-11-28, prompt =", "create.body.day", "quotes"),
    "a secret in the file": (
        'id = "/id"',
        'id = "/id"\nheaders = { x-api-key = "k" }',
        "create.headers.x-api-key",
        "token_env",
    ),
    "a header of ours": ('id = "/id"', 'id = "/id"\nheaders = { Host = "k" }', "create.headers.Host", "leave it out"),
    "a header that breaks": (
        'id = "/id"',
        'id = "/id"\nheaders = { x-a = "k\\r\\nb: c" }',
        "create.headers.x-a",
        "characters",
    ),
    "no header's name": ('id = "/id"', 'id = "/id"\nheaders = { "x a" = "k" }', "create.headers.x a", "no name"),
    "a model without output": ('output = "file"', "", "acme/clip", "no member `output`"),
    "a model's name": ('[models."acme/clip"]', '[models."clip"]', "clip", "owner and name"),
    "a default that is not possible": (
        "{ required = true }",
        '{ type = "integer", default = "x" }',
        "input.prompt.default",
        "'x'",
    ),
    "a choice that is not possible": (
        "{ required = true }",
        '{ type = "integer", choices = ["x"] }',
        "prompt.choices",
        "'x'",
    ),
    "a limit of another type": ("{ required = true }", "{ minimum = 3 }", "input.prompt.minimum", "no such limit"),
    "a default beyond its limit": (
        "{ required = true }",
        '{ type = "integer", maximum = 3, default = 4 }',
        "prompt.default",
        "4",
    ),
    "a verdict that fits all": (
        'id = "/id"',
        'id = "/id"\nverdicts = [{ means = "busy" }]',
        "create.verdicts[0]",
        "every answer",
    ),
    "a verdict that proves nothing": (
        'id = "/id"',
        'id = "/id"\nverdicts = [{ means = "busy", status = [502] }]',
        "create.verdicts[0].status",
        "502 alone",
    ),
    "an output that stands nowhere": ('output = "/url"', "", "answer", "no [content]"),
    "a content route without an id": (
        "[answer]",
        '[content]\npath = "/x"\n[answer]',
        "content",
        "neither {id} nor {output}",
    ),
    "a list without times": (
        "[answer]",
        '[find]\npath = "/x"\nitems = ""\nid = "/id"\nmatch = [{ at = "/p", equals = "{input.prompt}" }]\n[answer]',
        "find",
        "{prediction.id}",
    ),
    "a cursor that is not sent": (
        "[answer]",
        (
            '[find]\npath = "/x"\nitems = ""\nid = "/id"\nmatch = [{ at = "/p", equals = "{prediction.id}" }]\n'
            'cursor = "/c"\nnext_path = "/x"\n[answer]'
        ),
        "find.next_path",
        "{cursor}",
    ),
    "a metric of ours": (
        'status = "/status"',
        'status = "/status"\nmetrics = { predict_time = "/t" }',
        "answer.metrics.predict_time",
        "measured here",
    ),
    "a form with files in a poll": (
        "[poll]",
        '[poll]\nmethod = "POST"\nencoding = "multipart"\nbody = { id = "{id}" }',
        "poll.encoding",
        "only [create]",
    ),
    "a secret that is no text": ("{ required = true }", '{ type = "file", secret = true }', "prompt.secret", "a text"),
    "a date as a default": ("{ required = true }", "{ default = 2026-11-28 }", "input.prompt.default", "quotes"),
    "no number as a limit": (
        "{ required = true }",
        '{ type = "number", maximum = nan }',
        "input.prompt.maximum",
        "finite",
    ),
    "no number as a time": ("[poll]", "[poll]\ngone_seconds = inf", "poll.gone_seconds", "finite"),
    "no type of a file": ('output = "/url"', 'output = "/url"\nbase64 = "png"', "answer.base64", "image/png"),
    "two ways to the next page": (
        "[answer]",
        (
            '[find]\npath = "/x"\nitems = ""\nid = "/id"\nmatch = [{ at = "/p", equals = "{prediction.id}" }]\n'
            'next = "/n"\ncursor = "/c"\nnext_path = "/x?c={cursor}"\n[answer]'
        ),
        "find.next",
        "excludes",
    ),
    "polls that become faster": ("[poll]", "[poll]\nfirst_seconds = 60", "poll.longest_seconds", "less than"),
}


def test_the_base_of_these_tests_is_right() -> None:
    assert job_of(GOOD, Path()).models["acme/clip"].schema.names == {"prompt"}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named_by_its_place(case: str) -> None:
    before, after, place, words = WRONG[case]
    assert before in GOOD
    with pytest.raises(JobFileError) as caught:
        job_of(GOOD.replace(before, after, 1), Path())
    assert place in caught.value.place, str(caught.value)
    assert words in str(caught.value)


def test_a_file_is_named_in_its_faults(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    for text, words in (
        ("[create", "as TOML"),
        (GOOD.replace("[poll]", "[pol]"), "pol: there is"),
        ("#" * 2**20 + "#", "bytes"),
        (f"x = {'[' * 3000}{']' * 3000}", "nested too deeply"),
        (f"x = {'1' * 5000}", "digits"),
    ):
        path.write_text(text)
        with pytest.raises(Unusable, match=r"job\.toml") as caught:
            read_job(path)
        assert words in str(caught.value)
    with pytest.raises(Unusable, match="cannot be read"):
        read_job(tmp_path / "none.toml")


def test_a_schema_may_be_a_file_beside_it(tmp_path: Path) -> None:
    given = {"type": "object", "properties": {"prompt": {"type": "string", "default": "a"}, "more": {"type": "string"}}}
    output = {"type": "array", "items": {"type": "string", "format": "uri"}}
    document = {"openapi": "3.0.2", "components": {"schemas": {"Input": given, "Output": output}}}
    (tmp_path / "clip.json").write_bytes(msgspec.json.encode(document))
    text = GOOD.replace('output = "file"\ninput = { prompt = { required = true } }', 'schema = "clip.json"')
    (tmp_path / "job.toml").write_text(text.replace("{ prompt = ", '{ more = "{input.more}", prompt = '))
    schema = read_job(tmp_path / "job.toml").models["acme/clip"].schema
    assert (schema.defaults, schema.has_file_output, schema.is_list_output) == ({"prompt": "a"}, True, True)
    (tmp_path / "clip.json").write_text("{}")
    with pytest.raises(Unusable, match=r"schema.*clip\.json"):
        read_job(tmp_path / "job.toml")


def test_the_same_file_read_twice_is_the_same_job() -> None:
    assert job_of(GOOD, Path()) == job_of(GOOD, Path())
    assert job_of(GOOD, Path()) != job_of(GOOD.replace('"done"', '"ready"'), Path())


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_examples_are_right(path: Path) -> None:
    assert read_job(path).models


def test_every_member_is_in_the_reference() -> None:
    page = (EXAMPLES.parents[1] / "docs" / "reference" / "http-job.md").read_text()
    kinds = [kind for kind in vars(tables).values() if isinstance(kind, type) and issubclass(kind, tables.JobTable)]
    names = {field.name for kind in kinds for field in msgspec.structs.fields(kind)}
    assert [
        name for name in sorted(names) if not re.search(rf"`\[?{name}[`\].]|\b{name} = |[`{{ ]{name}[,`}} ]", page)
    ] == []
