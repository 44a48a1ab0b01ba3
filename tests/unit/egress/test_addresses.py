"""Which addresses are open, and which spellings mean the same address."""

import ipaddress

import pytest

from halley.egress.addresses import AddressRules, canonical, parse_allowed, rules_from, why_not_public
from halley.errors import AddressRefused, Unusable

CLOSED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001::1",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2620:4f:8000::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
OPEN = ["1.1.1.1", "8.8.8.8", "172.15.255.255", "172.32.0.1", "100.63.0.1", "100.128.0.1", "223.255.255.1"]
OPEN += ["2001:200::1", "2606:4700::1111", "2a00:1450::1"]


@pytest.mark.parametrize("text", CLOSED)
def test_internal_addresses_are_closed_on_every_port(text: str) -> None:
    address = ipaddress.ip_address(text)
    assert why_not_public(address)
    for port in (80, 443, 8080):
        with pytest.raises(AddressRefused, match="not reachable from here"):
            AddressRules().check(address, port)


@pytest.mark.parametrize("text", OPEN)
def test_public_addresses_are_open_on_the_ports_of_the_web_only(text: str) -> None:
    address = ipaddress.ip_address(text)
    AddressRules().check(address, 80)
    AddressRules().check(address, 443)
    with pytest.raises(AddressRefused, match=r"public:22"):
        AddressRules().check(address, 22)


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "0X7F.0x0.0.0x1",
        "127.0.0.1.",
    ],
)
def test_every_spelling_of_an_ipv4_address_is_the_same_address(text: str) -> None:
    assert canonical(text) == ipaddress.ip_address("127.0.0.1")


@pytest.mark.parametrize(
    "text", ["256.1", "1.2.3.4.5", "1.2.3.256", "4294967296", "0x1ffffffff", "09.1", "1..1", "a.1", "-1", "1_0", "0xg"]
)
def test_a_number_that_is_no_address_is_refused_and_not_looked_up(text: str) -> None:
    if text in ("-1", "1_0"):
        assert canonical(text) is None  # a name, and not a valid one: see test_targets
        return
    with pytest.raises(ValueError, match="is not an IPv4 address"):
        canonical(text)


def test_names_are_not_addresses() -> None:
    assert canonical("example.org") is None
    assert canonical("1.2.3.example") is None


def test_an_interface_name_in_an_address_is_refused() -> None:
    with pytest.raises(ValueError, match="interface"):
        canonical("fe80::1%eth0")


@pytest.mark.parametrize(
    ("line", "address", "port", "fits"),
    [
        ("10.0.0.5:8080", "10.0.0.5", 8080, True),
        ("10.0.0.5:8080", "10.0.0.5", 80, False),
        ("10.0.0.5:8080", "10.0.0.6", 8080, False),
        ("10.1.0.0/16:443", "10.1.200.3", 443, True),
        ("[::1]:80", "::1", 80, True),
        ("[fd00::/8]:*", "fd12::1", 5000, True),
        ("10.0.0.0/8:*", "::ffff:10.0.0.1", 80, False),
        ("public:8443", "8.8.8.8", 8443, True),
        ("public:8443", "10.0.0.1", 8443, False),
        ("0.0.0.0/0:8443", "10.0.0.1", 8443, True),
    ],
)
def test_a_line_of_the_allow_list_opens_what_it_says(line: str, address: str, port: int, fits: bool) -> None:
    assert parse_allowed(line).matches(ipaddress.ip_address(address), port) is fits


@pytest.mark.parametrize(
    "line", ["", "10.0.0.5", "10.0.0.5:0", "10.0.0.5:x", "::1:80", "example.org:80", "10.0.0.5:70000"]
)
def test_a_malformed_line_of_the_allow_list_says_what_is_right(line: str) -> None:
    with pytest.raises(ValueError, match=r"Write 10\.0\.0\.5:8080"):
        parse_allowed(line)


def test_rules_are_made_from_settings() -> None:
    rules = rules_from(["10.0.0.5:8080"], http=False)
    rules.check(ipaddress.ip_address("10.0.0.5"), 8080)
    assert rules.schemes == {"https"}
    with pytest.raises(Unusable, match=r"egress\.allow: 'nonsense' is not an address with a port"):
        rules_from(["10.0.0.5:8080", "nonsense"])


def test_a_refusal_names_the_line_that_would_allow_it() -> None:
    with pytest.raises(AddressRefused, match=r"egress.allow = \['\[::1\]:80'\]"):
        AddressRules().check(ipaddress.ip_address("::1"), 80)
