"""Bytes inside a string."""

import base64

import pytest

from halley.assets.data_urls import decode_data_url, is_data_url
from halley.errors import Refused, TooLarge


@pytest.mark.parametrize(
    ("url", "data", "content_type", "name"),
    [
        ("data:image/png;base64,iVBORw==", b"\x89PNG", "image/png", ""),
        ("data:image/png;base64,iVBORw", b"\x89PNG", "image/png", ""),
        ("data:image/png;base64,iVBORw%3D%3D", b"\x89PNG", "image/png", ""),
        ("data:;base64,_-8=", b"\xff\xef", "text/plain", ""),
        ("data:,hello%20you", b"hello you", "text/plain", ""),
        ("DATA:text/plain;charset=utf-8,%C3%BC", "ü".encode(), "text/plain", ""),
        ("data:image/png;name=my%20cat.png;base64,iVBORw==", b"\x89PNG", "image/png", "my cat.png"),
        ("data:Image/SVG+xml,<svg/>", b"<svg/>", "image/svg+xml", ""),
        ("data:,", b"", "text/plain", ""),
        ("data:;base64,", b"", "text/plain", ""),
        # as Python's urllib, and so Cog, takes them
        ("data:image/png;base64,iVBO\r\n Rw=\n=\n", b"\x89PNG", "image/png", ""),
        ("data:image/png;base64,iVBO%0D%0ARw%3d%3d", b"\x89PNG", "image/png", ""),
        (" data:image/png;base64,iVBORw#top", b"\x89PNG", "image/png", ""),
        ("data:None;base64,iVBORw0KGgo=", b"\x89PNG\r\n\x1a\n", "image/png", ""),
        ("data:image;base64,AA==", b"\0", "application/octet-stream", ""),
        ("data:text/plain,50%-%zz%\n%%41=41=\n", b"50%-%zz%\n%A=41=\n", "text/plain", ""),
    ],
)
def test_a_data_url_is_decoded(url: str, data: bytes, content_type: str, name: str) -> None:
    found = decode_data_url(url, 100)
    assert (found.data, found.content_type, found.name) == (data, content_type, name)


@pytest.mark.parametrize(
    "url",
    [
        "data:",
        "data:image/png;base64",
        "data:x/y;base64,AA==BB==",
        "data:x/y;base64,A*A=",
        f"data:{'x' * 9000},1",
        "data:x/y;base64,A",
        "data:x/y;base64,é",
    ],
)
def test_a_malformed_data_url_is_refused_in_words(url: str) -> None:
    with pytest.raises(Refused, match="the data: URL"):
        decode_data_url(url, 100)


def test_the_limit_is_exact() -> None:
    for size_bytes in range(20):
        text = base64.b64encode(b"x" * size_bytes).decode()
        for body in (f"data:;base64,{text}", f"data:,{'x' * size_bytes}", f"data:,{'%78' * size_bytes}"):
            assert len(decode_data_url(body, size_bytes).data) == size_bytes
            if size_bytes:
                with pytest.raises(TooLarge, match=r"limits\.inline_data_bytes"):
                    decode_data_url(body, size_bytes - 1)


def test_only_the_first_bytes_decide() -> None:
    assert is_data_url("DaTa:,")
    assert not is_data_url("https://example.org/?data:")
