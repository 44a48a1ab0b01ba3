"""Headers, ranges and conditions of delivered bytes."""

import pytest

from halley.assets.content import Conditions, ContentPlan, disposition, plan

SHA = "ab" * 32


def planned(
    name: str = "a.png",
    content_type: str = "image/png",
    size_bytes: int = 10,
    *,
    attachment: bool = False,
    **conditions: str,
) -> ContentPlan:
    return plan(
        name=name,
        content_type=content_type,
        sha256=SHA,
        size_bytes=size_bytes,
        max_age_seconds=60,
        attachment=attachment,
        conditions=Conditions(**conditions),
    )


def headers(answer: ContentPlan) -> dict[str, str]:
    found = dict(answer.headers)
    assert len(found) == len(answer.headers)
    return found


def test_a_picture_is_shown_in_place_with_all_that_a_client_needs() -> None:
    answer = planned()
    assert (answer.status, answer.start, answer.end) == (200, 0, 10)
    assert headers(answer) == {
        "accept-ranges": "bytes",
        "access-control-allow-origin": "*",
        "access-control-expose-headers": "accept-ranges, content-disposition, content-length, content-range, etag",
        "cache-control": "private, max-age=60",
        "content-disposition": 'inline; filename="a.png"',
        "content-length": "10",
        "content-security-policy": (
            "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'"
        ),
        "content-type": "image/png",
        "etag": f'"{SHA}"',
        "x-content-type-options": "nosniff",
    }


@pytest.mark.parametrize(
    "content_type",
    [
        "text/html",
        "text/html; charset=utf-8",
        "TEXT/HTML",
        "application/xhtml+xml",
        "image/svg+xml",
        "text/xml",
        "application/xml",
        "application/atom+xml",
        "application/rss+xml",
        "application/rdf+xml",
        "application/mathml+xml",
        "application/xslt+xml",
        "application/vnd.mozilla.xul+xml",
        "image/vnd.something+xml",
        "audio/something+xml",
        "video/something+xml",
        "text/xsl",
        "text/css",
        "text/ecmascript",
        "application/javascript",
        "application/wasm",
        "application/x-shockwave-flash",
        "application/java-archive",
        "application/hta",
        "application/manifest+json",
        "message/rfc822",
        "multipart/related",
        "application/x-mimearchive",
        "image/svg",
        "image/unknown",
        "text/unknown",
        "",
        "text/javascript",
        "application/pdf",
        "application/octet-stream",
        "multipart/x-mixed-replace",
        "x",
        "text/html\r\nset-cookie: a=b",
    ],
)
def test_what_could_run_is_a_download_in_a_sandbox(content_type: str) -> None:
    found = headers(planned("a.bin", content_type))
    assert found["content-disposition"] == 'attachment; filename="a.bin"'
    assert found["content-security-policy"] == "sandbox; default-src 'none'"
    assert found["x-content-type-options"] == "nosniff"
    assert "\r" not in "".join(found.values())


@pytest.mark.parametrize("content_type", ["image/webp", "video/mp4", "audio/wav", "text/plain", "application/json"])
def test_what_cannot_run_is_shown(content_type: str) -> None:
    assert headers(planned("a", content_type))["content-disposition"].startswith("inline")
    assert headers(planned("a", content_type, attachment=True))["content-disposition"].startswith("attachment")


def test_text_is_utf_8_so_that_no_browser_guesses() -> None:
    assert headers(planned("a.txt", "text/plain"))["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a b.png", 'inline; filename="a b.png"'),
        ("ü.png", "inline; filename=\"_.png\"; filename*=UTF-8''%C3%BC.png"),
        ('a"b.png', "inline; filename=\"a_b.png\"; filename*=UTF-8''a%22b.png"),
        ("a\r\nx: y", "inline; filename=\"a__x_ y\"; filename*=UTF-8''a%0D%0Ax%3A%20y"),
        ("a\\b", "inline; filename=\"a_b\"; filename*=UTF-8''a%5Cb"),
        ("100%.png", "inline; filename=\"100_.png\"; filename*=UTF-8''100%25.png"),
    ],
)
def test_no_file_name_breaks_out_of_its_header(name: str, value: str) -> None:
    assert disposition(name, attachment=False) == value
    assert value.isascii()


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-", 0, 10),
        ("bytes=0-0", 0, 1),
        ("bytes=2-4", 2, 5),
        ("bytes=9-", 9, 10),
        ("bytes=4-99", 4, 10),
        ("bytes=-3", 7, 10),
        ("bytes=-99", 0, 10),
        ("Bytes = 2 - 4", 2, 5),
    ],
)
def test_one_range_is_served(header: str, start: int, end: int) -> None:
    answer = planned(range_header=header)
    assert (answer.status, answer.start, answer.end) == (206, start, end)
    assert headers(answer)["content-range"] == f"bytes {start}-{end - 1}/10"
    assert headers(answer)["content-length"] == str(end - start)


@pytest.mark.parametrize(
    "header", ["bytes=0-1,3-4", "bytes=0-,0-,0-", "bytes=10-", "bytes=99-100", f"bytes={10**25}-", "bytes=-0"]
)
def test_several_ranges_and_those_beyond_the_end_are_not(header: str) -> None:
    answer = planned(range_header=header)
    assert (answer.status, answer.start, answer.end) == (416, 0, 0)
    assert headers(answer)["content-range"] == "bytes */10"


@pytest.mark.parametrize(
    "header", ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "items=0-1", "bytes=4-2", "bytes=--1"]
)
def test_a_header_without_sense_gives_everything(header: str) -> None:
    assert (planned(range_header=header).status, planned(range_header=header).end) == (200, 10)


def test_an_empty_file_has_no_ranges() -> None:
    assert planned(size_bytes=0).status == 200
    assert planned(size_bytes=0, range_header="bytes=0-").status == 416
    assert planned(size_bytes=0, range_header="bytes=-5").status == 416


def test_a_range_counts_only_for_the_bytes_it_was_meant_for() -> None:
    assert planned(range_header="bytes=0-1", if_range=f'"{SHA}"').status == 206
    assert planned(range_header="bytes=0-1", if_range='"other"').status == 200
    assert planned(range_header="bytes=0-1", if_range="Wed, 21 Oct 2015 07:28:00 GMT").status == 200


@pytest.mark.parametrize("header", [f'"{SHA}"', f'W/"{SHA}"', f'"x", "{SHA}"', "*"])
def test_bytes_that_the_client_has_are_not_sent_again(header: str) -> None:
    answer = planned(if_none_match=header, range_header="bytes=0-1")
    assert answer.status == 304
    assert "content-length" not in headers(answer)
    assert headers(answer)["etag"] == f'"{SHA}"'


def test_other_tags_do_not_match() -> None:
    assert planned(if_none_match='"other"').status == 200


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f'"{SHA}"', 200),
        (f'"x", "{SHA}"', 200),
        ("*", 200),
        ('"other"', 412),
        (f'W/"{SHA}"', 412),
        ("", 412),
    ],
)
def test_a_range_of_other_bytes_gets_none(header: str, status: int) -> None:
    answer = planned(if_match=header, range_header="bytes=0-1" if status == 412 else "")
    assert (answer.status, answer.end) == (status, 10 if status == 200 else 0)


def test_conditions_count_before_ranges_and_the_first_one_first() -> None:
    tag = f'"{SHA}"'
    assert planned(if_match='"other"', if_none_match=tag, range_header="bytes=0-1").status == 412
    assert planned(if_match=tag, if_none_match=tag, range_header="bytes=0-1").status == 304
    assert planned(if_match=tag, if_range=tag, range_header="bytes=0-1").status == 206
    assert planned(if_range=f"W/{tag}", range_header="bytes=0-1").status == 200


def test_a_link_at_its_end_is_not_kept() -> None:
    answer = plan(name="a", content_type="", sha256=SHA, size_bytes=1, max_age_seconds=-5)
    assert headers(answer)["cache-control"] == "private, max-age=0"
