"""URLs of webhooks."""

import pytest

from halley.egress import Egress, rules_from
from halley.webhooks.address import Receivers, read_address


@pytest.mark.parametrize(
    ("url", "sent_to", "endpoint", "shown"),
    [
        ("https://h.example", "https://h.example", "h.example:443", "https://h.example"),
        ("https://H.example/a?x=1&y", "https://H.example/a?x=1&y", "h.example:443", "https://H.example/a"),
        ("http://h.example:81/a%20b", "http://h.example:81/a%20b", "h.example:81", "http://h.example:81/a%20b"),
        ("https://u:p@h.example/", "https://h.example/", "h.example:443", "https://h.example/"),
        ("https://a@b@h.example/", "https://h.example/", "h.example:443", "https://h.example/"),
        ("https://h.example/#frag", "https://h.example/", "h.example:443", "https://h.example/"),
        (
            "https://[2606:4700::1]:444/",
            "https://[2606:4700::1]:444/",
            "[2606:4700::1]:444",
            "https://[2606:4700::1]:444/",
        ),
    ],
)
def test_a_url_is_taken_apart(url: str, sent_to: str, endpoint: str, shown: str) -> None:
    address = read_address(url)
    assert (address.url, address.endpoint, address.shown) == (sent_to, endpoint, shown)


@pytest.mark.parametrize(
    ("userinfo", "header"),
    [("u:p", "Basic dTpw"), ("token", "Basic dG9rZW46"), ("u%40x:p%3Aq", "Basic dUB4OnA6cQ==")],
)
def test_user_name_and_password_become_a_header(userinfo: str, header: str) -> None:
    assert read_address(f"https://{userinfo}@h.example/").authorization == header
    assert read_address("https://h.example/").authorization is None


@pytest.mark.parametrize(
    "url", ["", "x", "https://", "https:///a", "ftp://h.example/", "https://h.example:0/", "https://h/ a"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must be an http or https URL"):
        read_address(url)


def receivers(*, allow: tuple[str, ...] = (), http: bool = False, loopback: bool = False) -> Receivers:
    lines = [*allow, *(("127.0.0.0/8:*", "[::1]:*") if loopback else ())]
    return Receivers(Egress(rules_from(lines)), limit_bytes=100, http=http, is_loopback_open=loopback)


@pytest.mark.parametrize(
    ("url", "options", "fault"),
    [
        ("https://h.example/hook", {}, None),
        ("https://u:p@h.example/hook", {}, None),
        ("http://h.example/hook", {}, "must be an https URL"),
        ("http://h.example/hook", {"http": True}, None),
        ("https://127.0.0.1/", {}, "loopback"),
        ("https://2130706433/", {}, "loopback"),
        ("https://[::ffff:127.0.0.1]/", {"loopback": True}, "IPv4 address in IPv6"),
        ("http://127.0.0.1:3000/", {"loopback": True}, None),
        ("http://localhost:3000/", {"loopback": True}, None),
        ("http://[::1]:3000/", {"loopback": True}, None),
        ("http://localhost:3000/", {"http": True}, "loopback"),
        ("https://169.254.169.254/latest", {"loopback": True}, "link-local"),
        ("https://10.0.0.5/", {"loopback": True}, "private"),
        ("https://10.0.0.5/", {"allow": ("10.0.0.5:443",)}, None),
        ("https://h.example:8443/", {}, "Port 8443"),
        ("https://h.example:8443/", {"allow": ("public:8443",)}, None),
        ("https://h.example/" + "x" * 100, {}, "at most 100 bytes (setting limits.webhook_url_bytes)"),
        (7, {}, "must be a string"),
        ("ftp://h.example/", {}, "must be an http or https URL"),
        ("https://h.example\\@evil.example/", {}, "must be an http or https URL"),
    ],
)
def test_receivers_that_a_create_may_name(url: object, options: dict, fault: str | None) -> None:
    found = receivers(**options).fault(url)
    assert (found is None) if fault is None else (fault in (found or "")), found
