"""Create, get, cancel, list: the wire, member by member. Source: contract sections 0, 6, 7, 8, 9."""

import asyncio
import json
import re

import pytest

from api.world import World, settled
from halley.keys.records import Scope
from halley.models.records import Model, Version
from halley.models.validation import UNCHECKED
from halley.predictions.status import Fact
from halley.testing.clock import T0
from halley.testing.stores.maker import on_duty

pytestmark = pytest.mark.anyio
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


async def test_a_new_prediction_has_these_members_and_no_others(world: World) -> None:
    reply = await world.post("/v1/predictions", {"version": "acme/echo", "input": {"prompt": "hi"}})
    shown = reply.json()
    base = f"http://localhost:1986/v1/predictions/{shown['id']}"
    assert reply.status == 201
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["location"] == base
    assert re.fullmatch("[0-9a-z]{26}", shown["id"])
    assert TIME.fullmatch(shown.pop("created_at"))
    urls = shown.pop("urls")
    assert shown == {
        "id": shown["id"],
        "model": "acme/echo",
        "version": world.versions["acme/echo"],
        "input": {"prompt": "hi"},
        "logs": "",
        "output": None,
        "data_removed": False,
        "error": None,
        "source": "api",
        "status": "starting",
    }
    assert urls["get"] == base
    assert urls["cancel"] == f"{base}/cancel"
    assert urls["web"].startswith(f"http://localhost:1986/p/{shown['id']}?t=")
    assert urls["stream"].startswith("http://localhost:1986/v1/streams/")


async def test_members_that_mean_nothing_here_are_ignored_and_counted(world: World) -> None:
    admin, _ = await world.keys.issue("root", "admin", frozenset({Scope.ADMIN}))
    known = {"input": {"prompt": "hi"}, "webhook_completed": None, "stream": True}
    for more in ({"is_training": False}, {"is_training": True, "x" * 100: 1}, {}):
        body = {"version": "acme/echo", **known, **more}
        assert (await world.post("/v1/predictions", body)).status == 201
    assert (await world.post("/v1/models/acme/echo/predictions", {**known, "is_training": 1})).status == 201
    assert (await world.post("/v1/predictions", {"version": 1, "refused": 1})).status == 422
    counts = (await world.get("/v1/counts", token=admin)).json()
    assert counts["ignored_members"] == {"is_training": 3, "x" * 64: 1}
    named_twice = {**known, "version": "acme/echo"}
    assert (await world.post("/v1/models/acme/echo/predictions", named_twice)).status == 201
    for start in range(0, 200, 50):
        body = {"version": "acme/echo", **known, **{f"m{start + n}": 1 for n in range(50)}}
        assert (await world.post("/v1/predictions", body)).status == 201
    counts = (await world.get("/v1/counts", token=admin)).json()["ignored_members"]
    assert (len(counts), counts["is_training"], counts["version"], counts["(others)"]) == (65, 3, 1, 200 - 61)


async def test_the_input_is_echoed_as_sent_to_the_byte(world: World) -> None:
    body = b'{"version":"acme/free","input": {"b" : 1.50, "a":1e2,"\\u0061x":"\\/"} }'
    shown = await world.post("/v1/predictions", body)
    assert b'"input":{"b" : 1.50, "a":1e2,"\\u0061x":"\\/"}' in shown.body


async def test_a_finished_one_has_times_and_metrics(world: World) -> None:
    made = await world.create()
    world.clock.advance(1)
    await world.start(made["id"])
    processing = (await world.get(f"/v1/predictions/{made['id']}")).json()
    assert processing["status"] == "processing"
    assert TIME.fullmatch(processing["started_at"])
    assert "completed_at" not in processing
    assert processing["metrics"] == {}
    await world.log(made["id"], "50%|#####     | 5/10\n")
    await world.output(made["id"], {"x": [1, "two"]})
    world.clock.advance(2)
    await world.finish(made["id"])
    shown = (await world.get(f"/v1/predictions/{made['id']}")).json()
    assert shown["status"] == "succeeded"
    assert shown["output"] == {"x": [1, "two"]}
    assert shown["logs"] == "50%|#####     | 5/10\n"
    assert shown["metrics"] == {"predict_time": 0.5, "total_time": 3.0}
    assert TIME.fullmatch(shown["completed_at"])
    assert shown["urls"] == made["urls"]


async def test_partial_output_is_seen_by_get(world: World) -> None:
    made = await world.create("acme/tokens")
    await world.start(made["id"])
    await world.output(made["id"], "a", add=True)
    assert (await world.get(f"/v1/predictions/{made['id']}")).json()["output"] == ["a"]
    await world.output(made["id"], " b", add=True)
    assert (await world.get(f"/v1/predictions/{made['id']}")).json()["output"] == ["a", " b"]


async def test_the_other_family_lists_members_before_they_are_known(world: World) -> None:
    shown = await world.post("/replicate/v1/models/acme/echo/predictions", {"input": {"prompt": "x"}})
    made = shown.json()
    assert made["started_at"] is None
    assert made["completed_at"] is None
    assert made["metrics"] == {}
    assert made["urls"]["get"] == f"http://localhost:1986/replicate/v1/predictions/{made['id']}"
    assert made["urls"]["stream"].startswith("http://localhost:1986/replicate/v1/streams/")


@pytest.mark.parametrize("prefix", ["/v1", "/v1/v1", "/replicate/v1", "/replicate/v1/v1", "", "/replicate"])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_every_spelling_of_the_base_url_works(world: World, prefix: str, slash: str) -> None:
    made = await world.post(f"{prefix}/predictions{slash}", {"version": "acme/echo", "input": {"prompt": "x"}})
    assert made.status == 201
    family = "/replicate" if prefix.startswith("/replicate") else ""
    assert made.json()["urls"]["get"].startswith(f"http://localhost:1986{family}/v1/predictions/")
    got = await world.get(f"{prefix}/predictions/{made.json()['id']}{slash}")
    assert got.status == 200
    assert got.json()["urls"] == made.json()["urls"]


@pytest.mark.parametrize("name", ["acme/echo", "acme/echo:latest", "full", "hex"])
async def test_every_form_of_a_version_works(world: World, name: str) -> None:
    hexes = world.versions["acme/echo"]
    reference = {"full": f"acme/echo:{hexes}", "hex": hexes}.get(name, name)
    made = await world.post("/v1/predictions", {"version": reference, "input": {"prompt": "x"}})
    assert made.json()["version"] == hexes


async def test_an_unknown_version_is_422_and_an_unknown_model_in_the_path_404(world: World) -> None:
    reply = await world.post("/v1/predictions", {"version": "acme/none", "input": {}})
    assert (reply.status, reply.json()["title"]) == (422, "Invalid version or not permitted")
    assert (await world.post("/v1/models/acme/none/predictions", {"input": {}})).status == 404


async def test_all_faults_of_an_input_are_reported(world: World) -> None:
    reply = await world.post("/v1/predictions", {"version": "acme/echo", "input": {"seed": "x"}})
    problem = reply.json()
    assert reply.status == 422
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["x-should-retry"] == "false"
    assert problem["title"] == "Input validation failed"
    assert {"type": "required", "field": "input", "description": "prompt is required"} in problem["invalid_fields"]
    assert "input.seed" in [fault["field"] for fault in problem["invalid_fields"]]
    assert "- input: prompt is required\n" in problem["detail"]


async def test_missing_input_counts_as_empty(world: World) -> None:
    assert (await world.post("/v1/predictions", {"version": "acme/free"})).json()["input"] == {}
    assert (await world.post("/v1/predictions", {"version": "acme/echo"})).status == 422
    assert (await world.post("/v1/predictions")).status == 422


async def test_unknown_members_are_ignored(world: World) -> None:
    body = {"version": "acme/free", "input": {}, "stream": True, "wait": {"mode": "poll"}, "signal": None}
    assert (await world.post("/v1/predictions", body)).status == 201


async def test_webhook_and_filter_are_echoed(world: World) -> None:
    hook = "https://example.com/hook?x=1"
    body = {"version": "acme/free", "webhook": hook, "webhook_events_filter": ["logs", "completed", "logs"]}
    made = (await world.post("/v1/predictions", body)).json()
    assert made["webhook"] == hook
    assert made["webhook_events_filter"] == ["logs", "completed"]
    named = {**body, "webhook": "https://me:pw@example.com/"}
    assert (await world.post("/v1/predictions", named)).json()["webhook"] == named["webhook"]  # contract D35
    legacy = (await world.post("/v1/predictions", {"version": "acme/free", "webhook_completed": hook})).json()
    assert (legacy["webhook"], legacy["webhook_events_filter"]) == (hook, ["completed"])


async def test_a_context_is_for_the_model_alone(world: World) -> None:
    body = {"version": "acme/free", "input": {}, "context": {"trace": "7", "": "é"}}
    made = (await world.post("/v1/predictions", body)).json()
    assert "context" not in made
    assert "context" not in (await world.get(f"/v1/predictions/{made['id']}")).json()
    await world.store.open_session("s", world.clock.now(), 60)
    (claimed,) = await world.store.claim("s", {made["version"]: 1}, world.clock.now())
    assert json.loads(claimed.context or b"") == body["context"]


@pytest.mark.parametrize(
    ("context", "field", "text"),
    [
        ("trace", "context", "must be an object of strings"),
        (["trace"], "context", "must be an object of strings"),
        ({"a": "b", "trace": 7}, "context.trace", "must be a string: write other values as JSON text"),
        ({"trace": None}, "context.trace", "must be a string: write other values as JSON text"),
        ({"x" * 5000: {}}, "context." + "x" * 100, "must be a string: write other values as JSON text"),
    ],
)
async def test_a_context_that_is_no_map_of_strings_is_422(world: World, context: object, field: str, text: str) -> None:
    reply = await world.post("/v1/predictions", {"version": "acme/free", "input": {}, "context": context})
    assert reply.status == 422
    assert reply.json()["invalid_fields"] == [{"type": "type", "field": field, "description": text}]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("webhook", "ftp://example.com/"),
        ("webhook", "https://"),
        ("webhook", "/relative"),
        ("webhook", "http://example.com/"),
        ("webhook", "https://10.0.0.1/"),
        ("webhook", "https://me:pw@[::1]/"),
        ("webhook", "https://0x7f.1/"),
        ("webhook", "https://localhost/"),
        ("webhook", "https://example.com:6379/"),
        ("webhook", "https://example.com/\r\nx"),
        ("webhook", "https://example.com:99999/"),
        ("webhook", "https://[::1/"),
        ("webhook", "https://example.com/" + "x" * 2048),
        ("webhook", ""),
        ("webhook", 7),
        ("webhook_events_filter", ["begin"]),
        ("webhook_events_filter", "completed"),
        ("webhook_events_filter", [1]),
        ("webhook_events_filter", [["start"]]),
        ("input", []),
        ("input", "x"),
        ("version", 1),
        ("version", ""),
        ("version", None),
    ],
)
async def test_unfit_members_are_422_by_name(world: World, member: str, value: object) -> None:
    reply = await world.post("/v1/predictions", {"version": "acme/free", "input": {}, member: value})
    assert reply.status == 422
    assert reply.json()["invalid_fields"][0]["field"] == member


# Prefer: wait -----------------------------------------------------------------------------------------------------


async def test_a_wait_that_runs_out_gets_the_state_at_creation(world: World) -> None:
    asked = asyncio.ensure_future(
        world.post("/v1/predictions", {"version": "acme/tokens", "input": {}}, headers={"Prefer": "wait=5"})
    )
    await settled()
    made = (await world.store.page((await world.keys.verify(world.token)).account.id, limit=1)).items[0]
    await world.start(made.id)
    await world.output(made.id, "partial", add=True)
    await world.log(made.id, "some text")
    await settled()
    world.clock.advance(6)
    await world.log(made.id, "more")  # wakes the reader, whose time is over
    reply = await asked
    assert reply.status == 202
    assert reply.headers["preference-applied"] == "wait=5"
    shown = reply.json()
    assert (shown["status"], shown["output"], shown["logs"]) == ("starting", None, "")
    assert "started_at" not in shown
    assert reply.headers["location"] == shown["urls"]["get"]


async def test_a_wait_ends_with_the_prediction(world: World) -> None:
    asked = asyncio.ensure_future(
        world.post("/v1/predictions", {"version": "acme/free", "input": {}}, headers={"Prefer": "wait"})
    )
    await settled()
    made = (await world.store.page((await world.keys.verify(world.token)).account.id, limit=1)).items[0]
    assert made.created_with_wait
    await world.run(made.id, "done")
    reply = await asked
    assert (reply.status, reply.json()["status"], reply.json()["output"]) == (201, "succeeded", "done")
    assert reply.headers["preference-applied"] == "wait=55"


async def test_a_failed_run_within_the_wait_is_201(world: World) -> None:
    asked = asyncio.ensure_future(
        world.post("/v1/predictions", {"version": "acme/free"}, headers={"Prefer": "respond-async, wait=10"})
    )
    await settled()
    made = (await world.store.page((await world.keys.verify(world.token)).account.id, limit=1)).items[0]
    await world.start(made.id)
    await world.finish(made.id, Fact.FAILED, error="ValueError: no")
    reply = await asked
    assert (reply.status, reply.json()["status"], reply.json()["error"]) == (201, "failed", "ValueError: no")


@pytest.mark.parametrize(
    "prefer", ["wait=0", "wait=false", "respond-async", "wait=-1", "handling=strict", "", "wait=soon"]
)
async def test_what_does_not_ask_to_wait_is_answered_at_once(world: World, prefer: str) -> None:
    reply = await world.post("/v1/predictions", {"version": "acme/free"}, headers={"Prefer": prefer})
    assert reply.status == 201
    assert "preference-applied" not in reply.headers


async def test_a_lost_connection_ends_the_wait_but_not_the_prediction(world: World) -> None:
    asked = asyncio.ensure_future(world.post("/v1/predictions", {"version": "acme/free"}, headers={"Prefer": "wait"}))
    await settled()
    assert len(world.hub) == 1
    world.hub.release_all()
    reply = await asked
    assert reply.status == 202
    assert len(world.hub) == 0
    assert (await world.row(reply.json()["id"])).status == "starting"


async def test_get_waits_when_asked(world: World) -> None:
    made = await world.create("acme/free")
    asked = asyncio.ensure_future(world.get(f"/v1/predictions/{made['id']}", headers={"Prefer": "wait=30"}))
    await settled()
    await world.run(made["id"], 7)
    reply = await asked
    assert (reply.json()["status"], reply.headers["preference-applied"]) == ("succeeded", "wait=30")


# Cancel-After -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5", 5), ("90", 90), ("30s", 30), ("5m", 300), ("2h", 7200), ("1h30m45s", 5445), ("24h", 86400), (" 10 ", 10)],
)
async def test_cancel_after_sets_the_deadline(world: World, text: str, seconds: int) -> None:
    reply = await world.post("/v1/predictions", {"version": "acme/free"}, headers={"Cancel-After": text})
    row = await world.row(reply.json()["id"])
    assert row.deadline_at is not None
    assert (row.deadline_at - row.created_at).total_seconds() == seconds
    assert TIME.fullmatch(reply.json()["deadline"])


@pytest.mark.parametrize(
    "text", ["4", "4s", "25h", "86401", "1.5m", "5 m", "m5", "-5", "", "soon", "1d", "9" * 30, "٥"]
)
async def test_an_unfit_cancel_after_is_422(world: World, text: str) -> None:
    extra = {"headers": [(b"host", b"localhost"), (b"authorization", f"Bearer {world.token}".encode())]}
    extra["headers"].append((b"cancel-after", text.encode()))
    reply = await world.post("/v1/predictions", {"version": "acme/free"}, scope_extra=extra)
    assert reply.status == 422
    assert reply.json()["invalid_fields"][0]["field"] == "Cancel-After"


# cancel, aborted, removal -----------------------------------------------------------------------------------------


async def test_cancel_is_200_with_the_whole_prediction_and_can_be_repeated(world: World) -> None:
    made = await world.create("acme/free")
    first = await world.post(f"/v1/predictions/{made['id']}/cancel", headers={"content-type": "application/json"})
    assert (first.status, first.json()["status"]) == (200, "canceled")
    assert first.json()["urls"] == made["urls"]
    assert "metrics" in first.json()
    second = await world.post(f"/v1/predictions/{made['id']}/cancel")
    assert second.json() == first.json()


async def test_cancel_of_a_finished_one_changes_nothing(world: World) -> None:
    made = await world.create("acme/free")
    await world.run(made["id"], "x")
    reply = await world.post(f"/v1/predictions/{made['id']}/cancel")
    assert (reply.status, reply.json()["status"]) == (200, "succeeded")


async def test_aborted_is_shown_as_canceled_unless_asked(world: World) -> None:
    reply = await world.post("/v1/predictions", {"version": "acme/free"}, headers={"Cancel-After": "5"})
    prediction_id = reply.json()["id"]
    world.clock.advance(6)
    await world.store.expire(await on_duty(world.store), world.clock.now(), 1e6)
    shown = (await world.get(f"/v1/predictions/{prediction_id}")).json()
    assert (shown["status"], shown["error"], shown["termination_reason"]) == ("canceled", None, "deadline_before_start")
    literal = await world.get(f"/v1/predictions/{prediction_id}", headers={"X-Halley-Expose-Aborted": "1"})
    assert literal.json()["status"] == "aborted"


async def test_secrets_are_not_shown(world: World) -> None:
    assert "REDACTED" not in (await world.create())["input"]["prompt"]


# lists ------------------------------------------------------------------------------------------------------------


async def test_lists_are_newest_first_and_without_logs(world: World) -> None:
    ids = []
    for _ in range(3):
        ids.append((await world.create("acme/free"))["id"])
        world.clock.advance(1)
    await world.run(ids[0], "x")
    page = (await world.get("/v1/predictions")).json()
    assert [item["id"] for item in page["results"]] == ids[::-1]
    assert (page["next"], page["previous"]) == (None, None)
    single = (await world.get(f"/v1/predictions/{ids[0]}")).json()
    del single["logs"]
    assert page["results"][2] == single
    with_logs = (await world.get("/v1/predictions?include=logs")).json()
    assert with_logs["results"][0]["logs"] == ""


async def test_pages_link_to_previous_and_next(world: World) -> None:
    ids = [(await world.create("acme/free"))["id"] for _ in range(5)][::-1]
    first = (await world.get("/replicate/v1/predictions?limit=2&created_after=2020-01-01T00:00:00Z")).json()
    assert [item["id"] for item in first["results"]] == ids[:2]
    assert first["previous"] is None
    assert first["next"].startswith("http://localhost:1986/replicate/v1/predictions?")
    assert "created_after=2020-01-01T00%3A00%3A00Z" in first["next"]
    second = (await world.get(first["next"].removeprefix("http://localhost:1986"))).json()
    assert [item["id"] for item in second["results"]] == ids[2:4]
    third = (await world.get(second["next"].removeprefix("http://localhost:1986"))).json()
    assert ([item["id"] for item in third["results"]], third["next"]) == (ids[4:], None)
    back = (await world.get(third["previous"].removeprefix("http://localhost:1986"))).json()
    assert [item["id"] for item in back["results"]] == ids[2:4]


@pytest.mark.parametrize("cursor", ["x", "bz0", "====", "bz1h", "cD0xMjM", "%F0", "é" * 3, "A" * 1000])
async def test_a_foreign_cursor_is_400(world: World, cursor: str) -> None:
    from urllib.parse import quote

    assert (await world.get(f"/v1/predictions?cursor={quote(cursor)}")).status == 400


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("created_after=yesterday", 422),
        ("created_before=2026-13-01", 422),
        ("created_after=2026-01-01", 200),
        ("created_after=2026-01-01T00:00:00%2B02:00", 200),
        ("created_after=0001-01-01T00:00:00%2B23:00", 422),
        ("source=api", 422),
        ("source=web", 200),
        ("limit=ten", 422),
        ("limit=0", 200),
        ("limit=-5", 200),
        ("limit=100000", 200),
        ("limit=99999999999999999999999", 422),
        ("x=%ff", 400),
    ],
)
async def test_queries(world: World, query: str, status: int) -> None:
    assert (await world.get(f"/v1/predictions?{query}")).status == status


async def test_bounds_are_inclusive_after_and_exclusive_before(world: World) -> None:
    made = await world.create("acme/free")
    at = made["created_at"]
    assert len((await world.get(f"/v1/predictions?created_after={at}")).json()["results"]) == 1
    assert len((await world.get(f"/v1/predictions?created_before={at}")).json()["results"]) == 0


# conditions -------------------------------------------------------------------------------------------------------


async def test_a_known_revision_is_304(world: World) -> None:
    made = await world.create("acme/free")
    first = await world.get(f"/v1/predictions/{made['id']}")
    again = await world.get(f"/v1/predictions/{made['id']}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    await world.run(made["id"], "x")
    changed = await world.get(f"/v1/predictions/{made['id']}", headers={"If-None-Match": first.headers["etag"]})
    assert changed.status == 200


async def test_request_ids_go_in_and_out(world: World) -> None:
    mine = await world.get("/v1/account", headers={"X-Request-Id": "abc-123"})
    assert mine.headers["x-request-id"] == "abc-123"
    odd = await world.get("/v1/none", headers={"X-Request-Id": "a b\tc"})
    assert odd.headers["x-request-id"] != "a b\tc"
    assert odd.json()["instance"] == f"urn:request:{odd.headers['x-request-id']}"


async def test_draining_refuses_creates_and_answers_waiting_requests(world: World) -> None:
    asked = asyncio.ensure_future(world.post("/v1/predictions", {"version": "acme/free"}, headers={"Prefer": "wait"}))
    await settled()
    world.api.draining = True
    await settled()
    assert not asked.done()  # what runs may still end in time
    world.api.release_waiting()
    assert (await asked).status == 202
    refused = await world.post("/v1/predictions", {"version": "acme/free"})
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert (await world.get("/readyz")).status == 503
    assert (await world.get("/healthz")).status == 200
    assert (await world.get("/v1/account")).status == 200


async def test_a_model_without_a_schema_takes_every_input_and_the_answer_says_so(world: World) -> None:
    version = Version(id="9" * 64, model="acme/any", created_at=T0, openapi_schema=UNCHECKED)
    await world.catalog.register(Model(owner="acme", name="any", created_at=T0), version)
    for path, body in (("/v1/predictions", {"version": "9" * 64}), ("/v1/models/acme/any/predictions", {})):
        reply = await world.post(path, {**body, "input": {"prompt": 1, "of": [{"any": "kind"}]}})
        assert (reply.status, reply.headers["x-halley-inputs"]) == (201, "unchecked")
    checked = await world.post("/v1/predictions", {"version": "acme/echo", "input": {"prompt": "hi"}})
    assert "x-halley-inputs" not in checked.headers
