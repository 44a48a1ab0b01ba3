"""The names of a local certificate."""

import socket
from ipaddress import ip_address

import pytest

from halley.certificates.names import certificate_names

ALWAYS = ("localhost", "127.0.0.1", "::1")


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Workbench")


def test_this_machine_is_always_among_them() -> None:
    assert certificate_names("127.0.0.1") == (*ALWAYS, "workbench")
    assert certificate_names("10.1.2.3") == (*ALWAYS, "workbench", "10.1.2.3")


def test_names_that_clients_use_are_added_without_ports_and_each_once() -> None:
    more = ["halley.example.com:8443", "Halley.example.com", "[fe80::1]:1986", "2001:db8:0::7", "bücher.example"]
    found = certificate_names("127.0.0.1", more)
    assert found[4:] == ("halley.example.com", "fe80::1", "2001:db8::7", "xn--bcher-kva.example")


def test_what_is_no_host_is_left_out() -> None:
    assert certificate_names("127.0.0.1", ["", "*", "my host", "a_b", "-x", "x" * 300]) == (*ALWAYS, "workbench")


def test_a_server_at_every_address_names_those_of_this_machine() -> None:
    found = certificate_names("0.0.0.0")
    assert found[:4] == (*ALWAYS, "workbench")
    for name in found[4:]:
        assert not ip_address(name).is_unspecified
