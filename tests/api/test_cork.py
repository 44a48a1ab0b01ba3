"""Head and body of an answer in one write."""

import pytest

from halley.api.http.cork import CorkedTransport


class Wire:
    """Remembers each write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def writelines(self, pieces: list[bytes]) -> None:
        self.writes.append(b"".join(pieces))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize("body", [b"", b"{}", b"x" * 100_000])
def test_head_and_body_leave_together(body: bytes) -> None:
    wire = Wire()
    corked = CorkedTransport(wire)
    corked.write(HEAD)
    assert wire.writes == []
    corked.write(body)
    corked.write(b"more")
    assert wire.writes == [HEAD + body, b"more"]


def test_a_head_without_a_body_is_sent_at_the_end() -> None:
    wire = Wire()
    corked = CorkedTransport(wire)
    corked.write(HEAD)
    corked.close()
    assert wire.writes == [HEAD]
    assert corked.is_closing()


def test_a_client_that_waits_for_the_word_to_go_on_gets_it_at_once() -> None:
    wire = Wire()
    corked = CorkedTransport(wire)
    corked.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert len(wire.writes) == 1
    corked.write(HEAD)
    corked.write(b"{}")
    assert wire.writes[1:] == [HEAD + b"{}"]
