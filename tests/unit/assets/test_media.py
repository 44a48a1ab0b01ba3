"""What a file is, by its first bytes and its name."""

import pytest

from halley.assets.media import media_type


@pytest.mark.parametrize(
    ("name", "head", "content_type"),
    [
        ("a.png", b"\x89PNG\r\n\x1a\nxx", "image/png"),
        ("a.png", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("a", b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        ("a", b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav"),
        ("a.gif", b"GIF89a", "image/gif"),
        ("a", b"\x00\x00\x00\x20ftypisom", "video/mp4"),
        ("a.m4a", b"\x00\x00\x00\x20ftypmp42", "audio/mp4"),
        ("a", b"\x00\x00\x00\x20ftypavif", "image/avif"),
        ("a", b"OggS\x00", "audio/ogg"),
        ("a.webm", b"\x1aE\xdf\xa3", "video/webm"),
        ("a.mp3", b"ID3\x04", "audio/mpeg"),
        ("a.mp3", b"\xff\xfb\x90\x00", "audio/mpeg"),
        ("a.pdf", b"%PDF-1.7", "application/pdf"),
        ("a.doc", b"PK\x03\x04", "application/msword"),
        ("a", b"PK\x03\x04", "application/zip"),
        ("a.txt", b"BM is how it begins", "text/plain"),
        ("a", b"just text", "text/plain"),
        ("a", "grüße".encode(), "text/plain"),
        ("a", b"x" * 63 + "ü".encode()[:1], "text/plain"),
        ("a", b"\x00\x01\x02", "application/octet-stream"),
        ("a", b"\xfb\xff\xbf", "application/octet-stream"),
        ("a", b"text\xff", "application/octet-stream"),
        ("a", b"", "application/octet-stream"),
        ("a.json", b"{}", "application/json"),
        ("a.svg", b"<svg/>", "image/svg+xml"),
        ("a.html", b"<script>", "text/html"),
    ],
)
def test_bytes_decide_where_they_tell_and_the_name_elsewhere(name: str, head: bytes, content_type: str) -> None:
    assert media_type(name, head) == content_type


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.mp4", "a.mp3"])
def test_a_page_with_a_pictures_name_is_not_served_as_a_picture(name: str) -> None:
    assert media_type(name, b"<html><script>alert(1)</script>") == "application/octet-stream"
