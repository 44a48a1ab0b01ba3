"""Each answer to a create: created, not created, or not known."""

import json
from typing import Any

import pytest

from halley.egress import EgressResponse
from halley.providers.replicate.profiles import PROFILES
from halley.providers.replicate.submit_answers import read_submit
from halley.providers.services.answers import read_object
from halley.providers.services.verdicts import SubmitVerdict

pytestmark = pytest.mark.anyio

HTML = b"<html><title>502 Bad Gateway</title></html>"
GOOD = {"id": "abc", "status": "starting"}
COMET = {"error": {"code": "bad", "message": "no channel (request id: 1)", "type": "comet_api_error"}}
INVALID = {"error": {"code": "invalid_request", "message": "prompt is required"}}
PROBLEM = {"title": "Service unavailable", "detail": "The queue is full.", "status": 503, "retry_after": 1}
ID = "0" * 26
REUSED = {"title": "Idempotency key reused", "detail": f"..., which created the prediction {ID}. Use", "status": 422}
IN_FLIGHT = {"title": "Create in flight", "detail": "wait", "status": 409}

ALL = tuple(PROFILES)
S, B, R, U = SubmitVerdict.SUBMITTED, SubmitVerdict.BUSY, SubmitVerdict.REFUSED, SubmitVerdict.UNKNOWN

TABLE: list[tuple[str, int, Any, str, dict[str, SubmitVerdict]]] = [
    # name, status, body, content type, verdict by profile ("*": all others)
    ("created", 201, GOOD, "application/json", {"*": S}),
    ("accepted", 202, GOOD, "application/json", {"*": S}),
    ("created with 200", 200, GOOD, "text/plain", {"*": S}),
    ("in an envelope", 200, {"code": "success", "data": GOOD}, "application/json", {"cometapi": S, "*": U}),
    ("an error in an envelope", 200, {"code": "fail", "message": "x", "data": None}, "application/json", {"*": U}),
    ("an error with 200", 200, COMET, "application/json", {"*": U}),
    ("no id", 201, {"status": "starting"}, "application/json", {"*": U}),
    ("an id that is a number", 201, {"id": 5}, "application/json", {"*": U}),
    ("an id with a slash", 201, {"id": "a/../b"}, "application/json", {"*": U}),
    ("an id of two dots", 201, {"id": ".."}, "application/json", {"*": U}),
    ("a list", 201, [GOOD], "application/json", {"*": U}),
    ("null", 200, None, "application/json", {"*": U}),
    ("nothing", 201, b"", "application/json", {"*": U}),
    ("truncated", 201, b'{"id":"abc","stat', "application/json", {"*": U}),
    ("a page with 200", 200, HTML, "text/html", {"*": U}),
    ("moved", 301, b"", "text/html", {"*": U}),
    ("to a login", 302, HTML, "text/html", {"*": U}),
    ("redirected with its method", 307, b"", "text/html", {"*": U}),
    ("malformed", 400, COMET, "application/json", {"*": R}),
    ("token revoked", 401, COMET, "application/json", {"*": R}),
    ("no credit", 402, {"title": "Insufficient credit", "detail": "x"}, "application/json", {"*": R}),
    ("firewall", 403, HTML, "text/html", {"*": R}),
    ("no model", 404, {"detail": "not found"}, "application/json", {"*": R}),
    ("no path", 404, HTML, "text/html", {"*": R}),
    ("timed out", 408, b"", "text/html", {"*": U}),
    ("conflict", 409, {"detail": "x"}, "application/json", {"*": R}),
    ("answered elsewhere", 409, IN_FLIGHT, "application/problem+json", {"halley": U, "*": R}),
    ("too large", 413, HTML, "text/html", {"*": R}),
    ("invalid input", 422, {"detail": "- input: prompt is required\n"}, "application/json", {"*": R}),
    ("key reused", 422, REUSED, "application/problem+json", {"halley": S, "*": R}),
    ("throttled", 429, {"detail": "throttled", "retry_after": 30}, "application/json", {"*": B}),
    ("throttled by a page", 429, HTML, "text/html", {"*": B}),
    ("closed by its client", 499, b"", "text/html", {"*": R}),
    ("broken", 500, COMET, "application/json", {"*": U}),
    ("broken with a problem", 500, {"title": "Internal", "status": 500}, "application/problem+json", {"*": U}),
    ("invalid with 500", 500, INVALID, "application/json", {"cometapi": R, "*": U}),
    ("bad gateway", 502, HTML, "text/html", {"*": U}),
    ("bad gateway with a problem", 502, {"title": "Bad gateway", "status": 502}, "application/problem+json", {"*": U}),
    ("unavailable", 503, HTML, "text/html", {"*": U}),
    ("unavailable in JSON", 503, PROBLEM, "application/json", {"*": U}),
    ("its own 503", 503, PROBLEM, "application/problem+json", {"halley": B, "*": U}),
    ("another's problem", 503, {"title": "x"}, "application/problem+json", {"*": U}),
    ("gateway timed out", 504, HTML, "text/html", {"*": U}),
    ("timed out behind a proxy", 524, HTML, "text/html", {"*": U}),
    ("no known status", 599, GOOD, "application/json", {"*": U}),
]  # fmt: skip


@pytest.mark.parametrize("profile", ALL)
@pytest.mark.parametrize(
    ("status", "body", "kind", "verdicts"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
async def test_the_table(profile: str, status: int, body: Any, kind: str, verdicts: dict[str, SubmitVerdict]) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = EgressResponse(status=status, headers={"content-type": kind}, body=data)
    rules = PROFILES[profile]
    said = read_submit(rules, response, await read_object(response, has_envelope=rules.has_envelope))
    assert said.verdict is verdicts.get(profile, verdicts["*"])
    assert (said.handle != "") == (said.verdict is S)
    assert "\n" not in said.text


async def test_only_408_of_the_4xx_leaves_it_open() -> None:
    for status in range(400, 500):
        response = EgressResponse(status=status, headers={}, body=b"{}")
        for profile in PROFILES.values():
            verdict = read_submit(profile, response, {}).verdict
            assert verdict is (U if status == 408 else B if status == 429 else R), status


async def test_what_other_clients_read_is_read() -> None:
    for body, kind in (
        (b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), "application/json"),
        (b'{"id": "abc", "metrics": {"predict_time": NaN}}', "application/json"),
        ('{"id": "abc", "error": "caf\u00e9"}'.encode("latin-1"), "application/json; charset=iso-8859-1"),
    ):
        found = await read_object(
            EgressResponse(status=200, headers={"content-type": kind}, body=body), has_envelope=False
        )
        assert found is not None
        assert found["id"] == "abc"
        assert found.get("error") in (None, "caf\u00e9")
