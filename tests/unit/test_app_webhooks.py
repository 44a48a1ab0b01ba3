"""Whether loopback is open to webhooks. Source: design section 7."""

from pathlib import Path

import pytest

from halley.app.webhooks import is_loopback_open
from halley.settings import Server, Settings


@pytest.mark.parametrize(
    ("server", "is_open"),
    [
        ({}, True),
        ({"host": "127.0.0.5"}, True),
        ({"host": "::1"}, True),
        ({"host": "localhost"}, True),
        ({"host": "0.0.0.0"}, False),
        ({"host": "::"}, False),
        ({"host": "192.168.1.4"}, False),
        ({"host": "myhost"}, False),
        ({"public_url": "http://localhost:1986"}, True),
        ({"public_url": "https://halley.example.com"}, False),
        ({"trusted_proxies": ("10.0.0.0/8",)}, False),
    ],
)
def test_loopback_is_open_only_where_all_callers_are_on_this_machine(server: dict, is_open: bool) -> None:
    assert is_loopback_open(Settings(data=Path("/nowhere"), server=Server(**server))) is is_open
