"""URLs that are refused before anything is looked up."""

import pytest

from halley.egress import AddressRules, Egress, rules_from
from halley.egress.targets import follow, parse_target
from halley.errors import AddressRefused

OPEN = AddressRules()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "must begin with"),
        ("file:///etc/passwd", "must begin with"),
        ("ftp://example.org/", "must begin with"),
        ("//example.org/x", "must begin with"),
        ("javascript:alert(1)", "must begin with"),
        ("http:///x", "no host"),
        ("http://user@example.org/", "user name or password"),
        ("http://user:pw@example.org/", "user name or password"),
        ("http://a@127.0.0.1:80@example.org/", "user name or password"),
        ("http://example.org/a b", "control characters"),
        ("http://example.org/\r\nHost: x", "control characters"),
        ("http://exam\tple.org/", "control characters"),
        ("http://example.org\\@127.0.0.1/", "backslash"),
        ("http://example.org/\u202egpj", "control characters"),
        ("http://example.org:0/", "port"),
        ("http://example.org:/", "port"),
        ("http://example.org:99999/", "port"),
        ("http://example.org:80a/", "port"),
        ("http://[::1/", "malformed"),
        ("http://[example.org]/", "malformed|brackets|not a valid"),
        ("http://[127.0.0.1]/", "malformed|brackets|not a valid"),
        ("http://[fe80::1%25eth0]/", "malformed|not a valid"),
        ("http://exa%6dple.org/", "not a valid name"),
        ("http://-1/", "not a valid name"),
        ("http://1_0.%/", "not a valid name"),
        ("http://256.1/", "not a valid address"),
        ("http://a..b/", "not a valid name"),
        ("http://" + "a" * 64 + ".org/", "not a valid name"),
        ("http://example.org/" + "x" * 9000, "longer than"),
        ("http://127.0.0.1/", "loopback"),
        ("http://127.1/", "loopback"),
        ("http://2130706433/", "loopback"),
        ("http://0x7f000001/", "loopback"),
        ("http://0177.0.0.1/", "loopback"),
        ("http://１２７.0.0.1/", "loopback"),
        ("http://127。0。0。1/", "loopback"),
        ("http://0/", "this host"),
        ("http://localhost/", "loopback"),
        ("http://LOCALHOST./", "loopback"),
        ("http://x.localhost/", "loopback"),
        ("http://169.254.169.254/latest/meta-data", "metadata"),
        ("http://[::1]/", "loopback"),
        ("http://[::ffff:127.0.0.1]/", "IPv4 address in IPv6"),
        ("http://[::127.0.0.1]/", "IPv4 address in IPv6"),
        ("http://[64:ff9b::7f00:1]/", "NAT64"),
        ("http://[fec0::1]/", "site-local"),
        ("http://8.8.8.8:22/", "Port 22"),
        ("http://example.org:22/", "Port 22"),
        ("https://10.0.0.5/", "private"),
    ],
)
def test_what_can_never_be_fetched_is_refused_at_once(url: str, reason: str) -> None:
    with pytest.raises(AddressRefused, match=reason):
        Egress(OPEN).check_url(url)


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://Example.ORG", "example.org", 443, "/"),
        ("http://example.org:8000/a?b=c#d", "example.org", 8000, "/a?b=c"),
        ("HTTP://134744072/x", "8.8.8.8", 80, "/x"),
        ("https://[2606:4700::1111]/x", "2606:4700::1111", 443, "/x"),
        ("https://bücher.example/ü?ä=1", "xn--bcher-kva.example", 443, "/%C3%BC?%C3%A4=1"),
        ("https://a_b.example.org/%2F%20?x=%41", "a_b.example.org", 443, "/%2F%20?x=%41"),
    ],
)
def test_an_accepted_url_is_canonical(url: str, host: str, port: int, path: str) -> None:
    target = parse_target(url, rules_from(["public:8000"]))
    assert (target.host, target.port, target.path) == (host, port, path)


def test_the_host_header_has_the_port_only_where_it_is_not_the_usual_one() -> None:
    assert parse_target("http://example.org:80/", OPEN).host_header == "example.org"
    assert parse_target("http://example.org:443/", OPEN).host_header == "example.org:443"
    assert parse_target("https://[2606:4700::1]/", OPEN).host_header == "[2606:4700::1]"


def test_a_url_in_a_message_has_no_query() -> None:
    assert parse_target("https://example.org/x?signature=secret", OPEN).shown == "https://example.org/x"


def test_the_allow_list_opens_written_addresses_and_local_names() -> None:
    rules = rules_from(["127.0.0.1:8080"])
    parse_target("http://127.0.0.1:8080/", rules)
    parse_target("http://localhost:8080/", rules)
    with pytest.raises(AddressRefused):
        parse_target("http://localhost:8081/", rules)


def test_plain_http_can_be_switched_off() -> None:
    with pytest.raises(AddressRefused, match="must begin with https"):
        parse_target("http://example.org/", rules_from([], http=False))


def test_a_redirect_is_checked_like_the_first_url() -> None:
    first = parse_target("https://example.org/a/b", OPEN)
    assert follow(first, "../c?d", OPEN).shown == "https://example.org/c"
    assert follow(first, "//other.example/x#y", OPEN).host == "other.example"
    for location in ("http://127.0.0.1/", "file:///etc/passwd", "//localhost/", "http://u:p@example.org/"):
        with pytest.raises(AddressRefused):
            follow(first, location, OPEN)
