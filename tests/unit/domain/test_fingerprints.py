"""Errors that differ only in numbers, ids, paths and quoted values are one group."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halley.predictions.fingerprints import COMPARED_CHARACTERS, fingerprint, is_group, normalised

_SAME: Final = (
    ("CUDA out of memory. Tried to allocate 2.50 GiB", "CUDA out of memory. Tried to allocate 12 GiB"),
    ("KeyError: 'seed'", "KeyError: 'steps per frame'"),
    ('no file "a b.png"', 'no file "c.png"'),
    ("cannot read /tmp/work-1/in.png", "cannot read /home/x/pictures/other.jpeg"),
    ("GET https://a.test/x?y=1 answered 503", "GET http://b.test/ answered 502"),
    (
        "run 550e8400-e29b-41d4-a716-446655440000 is lost",
        "run ffffffff-ffff-ffff-ffff-ffffffffffff is lost",
    ),
    ("prediction 01k5b2v8m4qg3n is gone", "prediction 7zz5b2v8m4qg3n is gone"),
    ("at 12:30:01 it\n  stopped", "at 1:2:3 it stopped"),
    ("offset -3 of `x`", "offset 17 of `y z`"),
)
_OTHER: Final = (
    ("CUDA out of memory", "CPU out of memory"),
    ("KeyError: 'seed'", "ValueError: 'seed'"),
    ("it doesn't fit and won't run", "it doesn't load and won't run"),  # an apostrophe is no quote
    ("", "x"),
)


@pytest.mark.parametrize(("one", "another"), _SAME)
def test_what_varies_does_not_count(one: str, another: str) -> None:
    assert normalised(one) == normalised(another)
    assert fingerprint("a/b", one) == fingerprint("a/b", another)


@pytest.mark.parametrize(("one", "another"), _OTHER)
def test_what_an_error_says_counts(one: str, another: str) -> None:
    assert fingerprint("a/b", one) != fingerprint("a/b", another)


def test_each_model_has_groups_of_its_own() -> None:
    assert fingerprint("a/b", "x") != fingerprint("a/c", "x")


def test_a_missing_error_has_a_group() -> None:
    assert fingerprint("a/b", None) == fingerprint("a/b", "")


@given(st.text(max_size=300), st.integers(), st.integers())
def test_any_number_is_as_any_other(text: str, one: int, another: int) -> None:
    assert fingerprint("a/b", f"{one} {text}") == fingerprint("a/b", f"{another} {text}")


@given(st.text(alphabet=st.characters(), max_size=400))
def test_any_text_has_a_fingerprint(text: str) -> None:
    assert is_group(fingerprint("a/b", text))


@given(st.text(alphabet="ab1'\"`/.:~ -\n", max_size=COMPARED_CHARACTERS))
def test_it_becomes_no_longer(text: str) -> None:
    assert len(normalised(text)) <= len(text)


@pytest.mark.parametrize("piece", ["'", '"', "`", "/a", "/", "a:", "http://", "1.", "-", "0-", "a'b", " \n"])
def test_no_text_takes_long(piece: str) -> None:
    """A pattern that went back over what it read would not end for these."""
    text = piece * (10**7 // len(piece))
    assert normalised(text) == normalised(text[:COMPARED_CHARACTERS])
