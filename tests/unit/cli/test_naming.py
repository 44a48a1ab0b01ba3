"""Names for files that others offer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halley.cli.naming import NAME_BYTES, distinct, name_for, safe_name, suffix_for


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h/a/out.png?x=1#f", "out.png"),
        ("https://h/a/caf%C3%A9.png", "café.png"),
        ("https://h/", "output-3"),
        ("https://h/..", "output-3"),
        ("https://h/%2e%2e%2fetc%2fpasswd", "_etc_passwd"),
        ("https://h/a%00b.txt", "a_b.txt"),
        ("https://h/NUL", "_NUL"),
        ("https://h/prediction.json", "prediction_json"),
        ("https://h/x.part", "x_part"),
        ("data:image/webp;base64,AA==", "output-3.webp"),
        ("data:,hi", "output-3"),
    ],
)
def test_names(url, name):
    assert name_for(url, 3) == name


@settings(deadline=None)
@given(st.text(max_size=400))
def test_any_text_becomes_one_plain_name(text):
    name = safe_name(text, fallback="f")
    assert name
    assert "/" not in name
    assert "\0" not in name
    assert not name.startswith(".")
    assert len(name.encode()) <= NAME_BYTES + 2
    assert not name.lower().endswith((".part", ".meta"))
    assert name.lower() != "prediction.json"


def test_collisions_are_numbered_also_across_letter_case():
    assert distinct(["a.png", "A.PNG", "a.png", "b"], ["B", "a-2.png"]) == ["a.png", "A-3.PNG", "a-4.png", "b-2"]


def test_endings_of_media_types():
    assert [suffix_for(kind) for kind in ("image/png; x=1", "image/jpeg", "application/octet-stream", None, "x/y")] == [
        ".png", ".jpg", "", "", "",
    ]  # fmt: skip
