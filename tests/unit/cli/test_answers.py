"""Error answers in words."""

import httpx2
import pytest

from halley.cli.answers import read_answer
from halley.cli.failures import ServerRefused


def refusal(status, path, body):
    request = httpx2.Request("POST", f"http://h{path}")
    with pytest.raises(ServerRefused) as refused:
        read_answer(httpx2.Response(status, json=body, request=request))
    return refused.value


def test_one_fault_is_one_line():
    body = {"title": "Input validation failed", "detail": "- input.width: too wide\n"}
    said = refusal(422, "/v1/predictions", body)
    assert str(said) == "input.width: too wide (422 from http://h/v1/predictions)"


def test_several_faults_stand_below_their_title():
    body = {"title": "Input validation failed", "detail": "- input.width: too wide\n- input.height: too low\n"}
    assert str(refusal(422, "/v1/predictions", body)).splitlines() == [
        "Input validation failed (422 from http://h/v1/predictions):",
        "  - input.width: too wide",
        "  - input.height: too low",
    ]


@pytest.mark.parametrize(
    ("path", "hint"),
    [("/v1/predictions/x", "Check the id"), ("/v1/keys/x", "halley keys list"), ("/v1/models/a/b", "")],
)
def test_what_is_not_there_is_looked_for_where_it_may_be(path, hint):
    said = refusal(404, path, {"detail": "not here"})
    assert said.hint.startswith(hint) if not hint.startswith("halley") else hint in said.hint
    assert bool(said.hint) == bool(hint)
