"""Times as the wire shows them, held to the standard library's way of writing them."""

from datetime import UTC, datetime

import pytest

from halley.clock import rfc3339

MOMENTS = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 11, 28, 9, 5, 7, 120_000, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
]


@pytest.mark.parametrize("at", MOMENTS)
def test_six_digits_and_z(at: datetime) -> None:
    assert rfc3339(at) == at.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
