"""Our HMAC is the standard library's."""

import hmac

from hypothesis import given, settings
from hypothesis import strategies as st

from halley.hmac_sha256 import HmacSha256


@settings(deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=5000))
def test_it_equals_the_plain_path(key: bytes, message: bytes) -> None:
    assert HmacSha256(key).digest(message) == hmac.digest(key, message, "sha256")


def test_one_object_serves_many_messages() -> None:
    mac = HmacSha256(b"key")
    assert [mac.digest(b"a"), mac.digest(b"b"), mac.digest(b"a")] == [
        hmac.digest(b"key", message, "sha256") for message in (b"a", b"b", b"a")
    ]
