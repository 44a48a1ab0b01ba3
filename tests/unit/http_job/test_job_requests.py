"""What is sent: each value encoded for where it stands, and left out where it is missing."""

import json
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from halley.providers.http_job.faults import Unsendable
from halley.providers.http_job.reading import job_of
from halley.providers.http_job.requests import JobRequest
from halley.providers.http_job.templates import JobFile

REST = """
[poll]
path = "/jobs/{id}"
[answer]
status = "/status"
output = "/output"
[status]
succeeded = ["done"]
failed = ["failed"]
[models."acme/clip"]
output = "json"
value = { model = "clip-2", app = "acme/a b" }
[models."acme/clip".input]
text = {}
count = { type = "integer" }
flag = { type = "boolean", default = false }
image = { type = "file" }
more = { type = "object" }
names = { list = true }
"""
UNUSED = ("text", "count", "flag", "image", "more", "names")


def sent(create: str, **given: Any) -> JobRequest:
    """The request of a create; inputs that it does not send are taken out of the model."""
    rest = "\n".join(
        line
        for line in REST.splitlines()
        if not line.startswith(UNUSED) or f"{{input.{line.split()[0]}}}" in create or "{input}" in create
    )
    found = job_of(f'[create]\nid = "/id"\n{create}\n{rest}', Path())
    model = found.models["acme/clip"]
    return found.create.filled(model.values("p1", given), "b0undary")


def body(create: str, **given: Any) -> Any:
    return json.loads(sent(f'path = "/x"\nbody = {create}', **given).content)


def test_a_name_alone_keeps_the_type_and_in_a_text_becomes_text() -> None:
    template = (
        '{ a = "{input.count}", b = "n={input.count}", c = "{input.flag}", d = "{input.more}", e = [1, 2.5, true] }'
    )
    assert body(template, count=3, more={"x": [1]}) == {
        "a": 3,
        "b": "n=3",
        "c": False,
        "d": {"x": [1]},
        "e": [1, 2.5, True],
    }


def test_what_is_missing_or_null_is_left_out_with_the_tables_that_become_empty() -> None:
    template = (
        '{ a = "{input.text}", b = ["{input.text}"], c = { d = { e = "{input.count}" } }, f = [], g = "{value.model}" }'
    )
    assert body(template) == {"f": [], "g": "clip-2"}
    assert body(template, text=None, count=0) == {"c": {"d": {"e": 0}}, "f": [], "g": "clip-2"}


def test_braces_are_written_twice_and_values_are_not_read_as_templates() -> None:
    assert body('{ a = "{{x}} {input.text}" }', text="{value.model} {{") == {"a": "{x} {value.model} {{"}


def test_the_whole_input_is_a_body_with_defaults() -> None:
    assert body('"{input}"', text='q"\n', extra=None) == {"flag": False, "text": 'q"\n'}
    assert body('{ input = "{input}", id = "{prediction.id}" }', count=2**60) == {
        "input": {"flag": False, "count": 2**60},
        "id": "p1",
    }


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a/b?c#d", "/x/a%2Fb%3Fc%23d?q=a%2Fb%3Fc%23d"),
        ("ä ☄%2e&=", "/x/%C3%A4%20%E2%98%84%252e%26%3D?q=%C3%A4%20%E2%98%84%252e%26%3D"),
        ("\r\nHost: evil", "/x/%0D%0AHost%3A%20evil?q=%0D%0AHost%3A%20evil"),
    ],
)
def test_a_value_in_a_path_stays_one_segment(text: str, path: str) -> None:
    assert sent('path = "/x/{input.text}?q={input.text}"', text=text).path == path


def test_a_constant_in_a_path_may_be_several_segments() -> None:
    assert sent('path = "/{value.app}/x?m={value.model}"').path == "/acme/a%20b/x?m=clip-2"


@pytest.mark.parametrize("text", ["..", ".", "", None])
def test_a_value_that_would_lead_elsewhere_is_refused(text: str | None) -> None:
    with pytest.raises(Unsendable, match="create: "):
        sent('path = "/x/{input.text}/y"', text=text)


def test_a_value_that_makes_a_path_too_long_is_refused() -> None:
    assert sent('path = "/x?q={input.text}"', text="a" * 6900).path.endswith("aaa")
    with pytest.raises(Unsendable, match="7000 characters"):
        sent('path = "/x?q={input.text}"', text="ä" * 1200)


@pytest.mark.parametrize("text", ["a\r\nx-b: c", "a\nb", "\x00", "ä", "☄"])
def test_a_value_that_would_end_a_header_is_refused(text: str) -> None:
    create = 'path = "/x"\nheaders = { x-a = "v={input.text}" }'
    assert sent(create, text="plain; q=1").headers == (("x-a", "v=plain; q=1"),)
    assert sent(create).headers == ()
    with pytest.raises(Unsendable, match="header x-a"):
        sent(create, text=text)


def test_a_form_is_encoded_and_a_list_comes_several_times() -> None:
    fields = '"a b" = "{input.text}"\nc = "{input.names}"\nd = "{input.more}"\ne = true'
    create = f'path = "/x"\nencoding = "form"\n[create.body]\n{fields}'
    found = sent(create, text="x&y=ü", names=["1", "2"], more={"a": 1})
    assert found.headers == (("content-type", "application/x-www-form-urlencoded"),)
    pairs = [("a b", "x&y=ü"), ("c", "1"), ("c", "2"), ("d", '{"a":1}'), ("e", "true")]
    assert parse_qsl(found.content.decode()) == pairs


def test_a_form_with_files_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(range(256)))
    file = JobFile(path=path, name='a"b\r\nx: y.png', content_type="image/png")
    fields = 'text = "{input.text}"\n\'q"\' = "{input.count}"\nimage = "{input.image}"'
    create = f'path = "/x"\nencoding = "multipart"\n[create.body]\n{fields}'
    found = sent(create, text="--b0undary--\r\nx", count=4, image=file)
    ((_, kind),) = found.headers
    read = BytesParser().parsebytes(
        f"content-type: {kind}\r\n\r\n".encode() + found.content.replace(b"--b0undary--\r\nx", b"T")
    )
    parts = [
        (one.get_param("name", header="content-disposition"), one.get_payload(decode=True))
        for one in read.walk()
        if not one.is_multipart()
    ]
    assert parts == [("text", b"T"), ("q%22", b"4"), ("image", bytes(range(256)))]
    assert b'filename="a%22b%0D%0Ax: y.png"\r\ncontent-type: image/png\r\n\r\n' in found.content
    with pytest.raises(Unsendable, match="multipart"):
        sent('path = "/x"\nbody = { image = "{input.image}" }', image=file)
