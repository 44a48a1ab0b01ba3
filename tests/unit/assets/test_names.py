"""Names from outside, made fit."""

import pytest

from halley.assets.names import distinct, name_from_answer, name_from_url, safe_name, suffix_for, type_for


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("cat.png", "cat.png"),
        ("Ünïcode 猫.png", "Ünïcode 猫.png"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..", "file"),
        (".", "file"),
        ("", "file"),
        ("   ", "file"),
        (".bashrc", "bashrc"),
        ("a/b\\c:d", "a_b_c_d"),
        ("a\x00b\r\nc", "abc"),
        ("a \t b", "a b"),
        ("invoice\u202egpj.exe", "invoicegpj.exe"),
        ("zero\u200bwidth.txt", "zerowidth.txt"),
        ("\ud800.png", "?.png".replace("?", "_")),
        ("x.", "x"),
    ],
)
def test_a_safe_name_is_one_visible_path_segment(text: str, name: str) -> None:
    assert safe_name(text) == name


def test_a_long_name_keeps_its_extension_and_whole_characters() -> None:
    name = safe_name("猫" * 200 + ".png")
    assert len(name.encode()) <= 255
    assert name.endswith("猫.png")


def test_names_in_one_folder_are_distinct_whatever_their_case() -> None:
    taken: set[str] = set()
    assert [distinct(name, taken) for name in ("a.png", "A.png", "a.png", "b")] == ["a.png", "A-2.png", "a-3.png", "b"]


@pytest.mark.parametrize(
    ("disposition", "path", "name"),
    [
        ("", "/x/cat.png?sig=1", "cat.png"),
        ("", "/x/c%20%2Ft.png", "c _t.png"),
        ("", "/", "file"),
        ('attachment; filename="dog.jpg"', "/x", "dog.jpg"),
        ("attachment; filename=dog.jpg", "/x", "dog.jpg"),
        ("attachment; filename*=UTF-8''%e7%8c%ab.png; filename=cat.png", "/x", "猫.png"),
        (r'attachment; filename="..\\..\\evil.exe"', "/x", "evil.exe"),
        ('attachment; filename="/etc/passwd"', "/x", "passwd"),
        ('attachment; filename=""', "/x/cat.png", "cat.png"),
        ("inline", "/x/cat.png", "cat.png"),
    ],
)
def test_an_answer_names_its_file(disposition: str, path: str, name: str) -> None:
    assert name_from_answer(disposition, path) == name


def test_a_url_names_its_file_after_the_last_segment() -> None:
    assert name_from_url("/d/cap/out.webp?x=/y/z.png") == "out.webp"


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.webp", "image/webp"),
        ("a.PNG", "image/png"),
        ("a.mp4", "video/mp4"),
        ("a.safetensors", "application/octet-stream"),
        ("a.svg", "image/svg+xml"),
        ("a.svgz", "application/octet-stream"),
        ("a", "application/octet-stream"),
        ("a.unknown", "application/octet-stream"),
    ],
)
def test_a_file_name_gives_its_media_type(name: str, content_type: str) -> None:
    assert type_for(name) == content_type


def test_a_media_type_gives_its_usual_extension() -> None:
    assert [suffix_for(name) for name in ("image/jpeg", "image/webp", "application/octet-stream", "x/y")] == [
        ".jpg",
        ".webp",
        "",
        "",
    ]
