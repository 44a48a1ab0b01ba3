"""Variants of requests are remembered by their headers, and not more of them than a few hundred kilobytes."""

from pathlib import Path

from halley.api.http.asgi import Variant
from halley.api.http.origins import Variants
from halley.settings import ServerSettings, Settings


def of(variants: Variants, agent: bytes, host: bytes = b"localhost:1986") -> Variant:
    headers = {b"host": host, b"user-agent": agent}
    return variants.of(headers, "", scheme="http", server=("127.0.0.1", 1986), client=("127.0.0.1", 5000))


def test_equal_requests_get_the_same_and_long_headers_are_not_kept() -> None:
    variants = Variants(Settings(data=Path("/nowhere")))
    assert of(variants, b"a") is of(variants, b"a")
    short = len(variants._by_request)
    found = {of(variants, b"%d" % number + b"x" * 30_000).number for number in range(50)}
    assert len(found) == 1
    assert len(variants._by_request) == short


def test_long_headers_that_a_proxy_passes_on_are_not_kept() -> None:
    variants = Variants(Settings(data=Path("/nowhere"), server=ServerSettings(trusted_proxies=["127.0.0.1"])))
    for number in range(50):
        headers = {b"host": b"localhost:1986", b"x-forwarded-host": b"%d" % number + b"x" * 30_000 + b", a.example"}
        variants.of(headers, "", scheme="http", server=("127.0.0.1", 1986), client=("127.0.0.1", 5000))
    assert len(variants._by_request) == 0


def test_any_number_of_hosts_is_forgotten_again() -> None:
    variants = Variants(Settings(data=Path("/nowhere")))
    for number in range(5000):
        of(variants, b"x" * 2000, b"localhost:%d" % number)
    assert len(variants._by_value) <= 2000
