"""Filters of predictions: what they read, say and match."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halley.errors import InputInvalid
from halley.predictions.filters import FILTER_MEMBERS, PredictionFilter, fits_pattern, read_filter
from halley.predictions.fingerprints import fingerprint
from halley.predictions.records import Prediction
from halley.predictions.status import Status

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
KEY = "01k5b2v8m4qg3n01k5b2v8m4qg"
ROW = Prediction(
    id="01k5b2v8m4qg3n01k5b2v8m4qh",
    account_id="a",
    key_id=KEY,
    status=Status.FAILED,
    model="demo/fail",
    version="0" * 64,
    input=b"{}",
    error="CUDA Out of memory: 7 GiB",
    provider="local",
    created_at=AT,
)
FULL = {
    "status": "starting,failed",
    "model": "demo/*",
    "key": KEY,
    "provider": "local",
    "error": "out of MEMORY",
    "tag": "night run",
    "group": fingerprint(ROW.model, ROW.error),
    "created_after": "2026-01-31T12:00:00.000000Z",
    "created_before": "2026-01-31T12:00:00.000001Z",
}


def test_a_filter_of_all_members_matches() -> None:
    assert tuple(FULL) == FILTER_MEMBERS
    assert read_filter(FULL).matches(ROW, {"night run"})
    assert not read_filter(FULL).matches(ROW)


def test_each_member_alone_can_refuse() -> None:
    other = {
        "status": "canceled",
        "model": "demo/fai",
        "key": KEY[:-1] + "0",
        "provider": "loca",
        "error": "out of time",
        "tag": "x",
        "group": "0" * 16,
        "created_after": "2026-01-31T12:00:00.000001Z",
        "created_before": "2026-01-31T12:00:00Z",
    }
    for name in FILTER_MEMBERS:
        assert read_filter({name: FULL[name]}).matches(ROW, ["night run"]), name
        assert not read_filter({name: other[name]}).matches(ROW, ["night run"]), name


def test_no_member_matches_everything() -> None:
    assert not read_filter({"model": " ", "status": ""})
    assert PredictionFilter().matches(ROW)
    assert PredictionFilter().describe() == "all predictions"


def test_only_failed_ones_have_an_error() -> None:
    running = msgspec.structs.replace(ROW, status=Status.PROCESSING)
    assert not read_filter({"error": "memory"}).matches(running)
    assert read_filter({"error": "x", "status": "succeeded"}).is_impossible
    assert not read_filter({"error": "x", "status": "succeeded,failed"}).is_impossible


def test_it_says_what_it_means() -> None:
    assert read_filter(FULL).describe() == (
        f"starting or failed predictions of demo/* on local of the key {KEY} with the tag 'night run'"
        f" with 'out of MEMORY' in the error in the error group {FULL['group']}"
        ", created at 2026-01-31T12:00:00.000000Z or later, created before 2026-01-31T12:00:00.000001Z"
    )
    assert read_filter({"status": "failed"}).describe() == "failed predictions"


@given(
    st.builds(
        PredictionFilter,
        statuses=st.frozensets(st.sampled_from(Status)),
        model=st.sampled_from([None, "a/b", "*", "a/*x"]),
        error=st.none() | st.text(min_size=1, max_size=200).map(str.strip).filter(bool),
        tag=st.sampled_from([None, "ü & =?", "x"]),
        created_after=st.none() | st.timedeltas(timedelta(), timedelta(days=30)).map(lambda span: AT + span),
    )
)
def test_it_comes_back_from_its_members(wanted: PredictionFilter) -> None:
    assert read_filter(wanted.members()) == wanted


def test_a_query_keeps_it() -> None:
    wanted = read_filter({"model": "demo/*", "error": "a & b", "status": "failed"})
    assert wanted.query() == "status=failed&model=demo%2F%2A&error=a+%26+b"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("status", "faild", "did you mean failed?"),
        ("status", "x", "one or more of starting, processing"),
        ("modle", "a/b", "did you mean model?"),
        ("zzz", "1", "choose from status, model"),
        ("model", "flux", "owner/name, or a pattern such as */flux*"),
        ("key", "halley_secret", "the id of a key"),
        ("tag", "x" * 65, "1 to 64 characters"),
        ("group", "cuda", "/v1/errors"),
        ("created_after", "yesterday", "2026-01-31T12:00:00Z"),
        ("error", "x" * 201, "at most 200 characters"),
    ],
)
def test_a_fault_says_what_to_write(name: str, text: str, said: str) -> None:
    with pytest.raises(InputInvalid) as refused:
        read_filter({name: text})
    (fault,) = refused.value.fields
    assert fault.field == name
    assert said in fault.description


def test_every_fault_is_named() -> None:
    with pytest.raises(InputInvalid) as refused:
        read_filter({"status": "x", "model": "y", "colour": "red"})
    assert {fault.field for fault in refused.value.fields} == {"status", "model", "colour"}


def test_a_query_may_have_other_members() -> None:
    assert read_filter({"limit": "5", "status": "failed"}, strict=False).statuses == {Status.FAILED}


def test_a_time_without_offset_is_utc() -> None:
    assert read_filter({"created_after": "2026-01-31"}).created_after == AT - timedelta(hours=12)


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("a/b", True),
        ("a/*", True),
        ("*", True),
        ("*b", True),
        ("*/*", True),
        ("a/b*", True),
        ("a*a/b", False),
        ("a/?", False),
        ("[a]/b", False),
        ("A/b", False),
        ("*b*b", False),
        ("", False),
    ],
)
def test_only_the_star_is_special(pattern: str, *, fits: bool) -> None:
    assert fits_pattern("a/b", pattern) is fits
