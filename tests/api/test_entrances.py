"""Origins, proxies, CORS, pages, models, keys, the access log."""

import logging

import pytest

from api.world import World
from halley.models.records import Model
from halley.predictions.status import Fact
from halley.settings import ServerSettings

pytestmark = pytest.mark.anyio


async def origin(world: World, *, scope: dict[str, object] | None = None, **headers: str) -> str:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    made = await world.create("acme/free", headers=sent, scope_extra=scope)
    return str(made["urls"]["get"]).partition("/v1/")[0]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost:1986", "http://localhost:1986"),
        ("localhost", "http://localhost"),
        ("LocalHost:8080", "http://localhost:8080"),
        ("halley.localhost", "http://halley.localhost"),
        ("127.0.0.1:5", "http://127.0.0.1:5"),
        ("127.8.9.1", "http://127.8.9.1"),
        ("[::1]:1986", "http://[::1]:1986"),
        ("api.example.com", "http://api.example.com"),
        ("api.example.com:8443", "http://api.example.com:8443"),
        ("evil.example", "http://127.0.0.1:1986"),
        ("127.0.0.1.evil.example", "http://127.0.0.1:1986"),
        ("localhost.evil.example", "http://127.0.0.1:1986"),
        ("localhost:1986@evil.example", "http://127.0.0.1:1986"),
        ("localhost/evil", "http://127.0.0.1:1986"),
        ("", "http://127.0.0.1:1986"),
    ],
)
async def test_a_host_counts_only_if_it_is_ours(host: str, expected: str) -> None:
    world = await World(server=ServerSettings(allowed_hosts=("api.example.com",))).fill()
    assert await origin(world, host=host, x_forwarded_host="evil.example", x_forwarded_proto="https") == expected


async def test_the_public_url_has_priority() -> None:
    world = await World(
        server=ServerSettings(public_url="https://halley.example/", trusted_proxies=("127.0.0.1",))
    ).fill()
    assert await origin(world, host="localhost", x_forwarded_host="other.example") == "https://halley.example"


@pytest.mark.parametrize(
    ("client", "expected"), [("10.1.2.3", "https://front.example"), ("10.2.0.1", "http://localhost:1986")]
)
async def test_forwarded_headers_count_from_trusted_proxies_only(client: str, expected: str) -> None:
    world = await World(server=ServerSettings(trusted_proxies=("10.1.0.0/16",))).fill()
    sent = {"x_forwarded_host": "evil.example, front.example", "x_forwarded_proto": "http, https"}
    assert await origin(world, scope={"client": (client, 1)}, **sent) == expected


async def test_two_origins_are_two_answers(world: World) -> None:
    made = await world.create("acme/free")
    await world.run(made["id"])
    path = f"/v1/predictions/{made['id']}"
    first = (await world.get(path)).json()["urls"]["get"]
    second = (await world.get(path, headers={"host": "127.0.0.1:9"})).json()["urls"]["get"]
    assert (first, second) == (f"http://localhost:1986{path}", f"http://127.0.0.1:9{path}")


async def test_cors_is_off_by_default(world: World) -> None:
    reply = await world.get("/v1/account", headers={"Origin": "https://app.example"})
    assert not [name for name in reply.headers if name.startswith("access-control")]
    preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    assert (await world.request("OPTIONS", "/v1/predictions", headers=preflight, token=None)).status == 405


async def test_cors_for_the_named_origins_only() -> None:
    world = await World(server=ServerSettings(cors_origins=("https://app.example",))).fill()
    preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    asked = await world.request("OPTIONS", "/v1/predictions", headers=preflight, token=None)
    assert (asked.status, asked.headers["access-control-allow-origin"]) == (204, "https://app.example")
    allowed = set(asked.headers["access-control-allow-headers"].split(", "))
    # what a client in a page sends, or may have to
    assert allowed >= {"authorization", "content-type", "prefer", "user-agent", "last-event-id"}
    reply = await world.get("/v1/account", headers={"Origin": "https://app.example"})
    assert reply.headers["access-control-allow-origin"] == "https://app.example"
    assert reply.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in reply.headers
    failed = await world.get("/v1/predictions/x", headers={"Origin": "https://app.example"})
    assert failed.headers["access-control-allow-origin"] == "https://app.example"
    other = await world.get("/v1/account", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


# pages ------------------------------------------------------------------------------------------------------------


async def test_the_page_opens_with_its_link_and_shows_everything(world: World) -> None:
    made = await world.create("acme/free")
    page = made["urls"]["web"].removeprefix("http://localhost:1986")
    running = await world.get(page, token=None)
    assert running.status == 200
    assert b'http-equiv="refresh"' in running.body
    await world.start(made["id"])
    await world.log(made["id"], "</pre><script>alert(1)</script>")
    file = await world.keep(made["id"], 0, "x y.png", b"png", "image/png")
    await world.output(made["id"], {"note": "<b>bold</b>", "file": file.ref}, files=(file,))
    await world.finish(made["id"])
    reply = await world.get(page, token=None)
    text = reply.body.decode()
    assert "refresh" not in text
    assert "<script" not in text
    assert "<b>" not in text
    assert '<img src="/d/' in text
    assert "x y.png" in text
    assert "&lt;b&gt;bold" in text
    assert "succeeded" in text
    assert "predict_time" in text
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "script-src" not in policy
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["cache-control"] == "private, no-store"


async def test_a_failed_one_shows_its_error(world: World) -> None:
    made = await world.create("acme/free")
    await world.start(made["id"])
    await world.finish(made["id"], Fact.FAILED, error="ValueError: <no>")
    reply = await world.get(made["urls"]["web"].removeprefix("http://localhost:1986"), token=None)
    assert b"ValueError: &lt;no&gt;" in reply.body


async def test_without_the_link_the_page_shows_nothing(world: World) -> None:
    made = await world.create("acme/free")
    other = await world.create("acme/free")
    token = made["urls"]["web"].rpartition("=")[2]
    stream_mac = made["urls"]["stream"][-22:]
    closed = {
        (await world.get(path, token=None)).body
        for path in (
            f"/p/{made['id']}",
            f"/p/{made['id']}?t=",
            f"/p/{made['id']}?t=x%C3%A9",
            f"/p/{made['id']}?t={stream_mac}",
            f"/p/{other['id']}?t={token}",
            f"/p/{'0' * 26}?t={token}",
            "/p/x",
        )
    }
    assert len(closed) == 1
    assert (await world.get(f"/p/{made['id']}", token=None)).status == 403
    assert made["id"].encode() not in closed.pop()


# models and account -----------------------------------------------------------------------------------------------


async def test_a_broken_model_is_listed_and_refused_with_its_reason(world: World) -> None:
    reason = "/m/cog.yaml, line 3: `run` must be a reference.\nand more"
    world.catalog.report_fault(Model(owner="acme", name="torn", created_at=world.clock.now()), reason)
    listed = {f"{one['owner']}/{one['name']}": one for one in (await world.get("/v1/models")).json()["results"]}
    assert listed["acme/torn"] == (await world.get("/v1/models/acme/torn")).json()
    torn = listed["acme/torn"]
    assert (torn["state"], torn["reason"]) == ("broken", "/m/cog.yaml, line 3: `run` must be a reference.")
    assert torn["latest_version"] is None
    assert (await world.get("/v1/models/acme/torn/versions")).json()["results"] == []
    for path, body in (
        ("/v1/predictions", {"version": "acme/torn", "input": {}}),
        ("/v1/predictions", {"version": "acme/torn:" + "1" * 64, "input": {}}),
        ("/v1/models/acme/torn/predictions", {"input": {}}),
    ):
        refused = await world.post(path, body)
        assert (refused.status, refused.headers["x-should-retry"]) == (503, "false")
        assert "retry-after" not in refused.headers
        assert refused.json()["detail"] == f"The model acme/torn is broken: {reason}"
    assert (await world.post("/v1/predictions", {"version": "acme/echo", "input": {"prompt": "a"}})).status == 201


async def test_a_long_reason_is_cut_in_the_middle(world: World) -> None:
    model = Model(owner="acme", name="torn", created_at=world.clock.now())
    world.catalog.report_fault(model, "begin" + "x" * 100_000 + "end")
    detail = (await world.post("/v1/predictions", {"version": "acme/torn", "input": {}})).json()["detail"]
    assert len(detail) < 2000
    assert "begin" in detail
    assert detail.endswith("end")


async def test_a_model_has_the_members_that_clients_require(world: World) -> None:
    shown = (await world.get("/v1/models/acme/echo")).json()
    assert set(shown) == {
        "url", "owner", "name", "description", "visibility", "is_official", "github_url", "paper_url", "license_url",
        "run_count", "cover_image_url", "default_example", "latest_version", "state", "reason",
    }  # fmt: skip
    assert (shown["state"], shown["reason"]) == ("ready", None)
    assert (shown["owner"], shown["name"], shown["default_example"]) == ("acme", "echo", None)
    version = shown["latest_version"]
    assert version["id"] == world.versions["acme/echo"]
    assert version["openapi_schema"]["components"]["schemas"]["Input"]["required"] == ["prompt"]
    same = await world.get(f"/v1/models/acme/echo/versions/{version['id']}")
    assert same.json() == version
    assert (await world.get("/v1/models/acme/echo/versions")).json()["results"] == [version]


async def test_a_model_without_a_description_has_an_empty_one(world: World) -> None:
    assert (await world.get("/v1/models/acme/echo")).json()["description"] == ""


async def test_unknown_models_and_versions_are_404(world: World) -> None:
    other = world.versions["acme/free"]
    for path in ("/v1/models/acme/none", "/v1/models/acme/none/versions", f"/v1/models/acme/echo/versions/{other}"):
        assert (await world.get(path)).status == 404


async def test_models_are_paged_and_sorted(world: World) -> None:
    whole = [model["name"] for model in (await world.get("/v1/models")).json()["results"]]
    assert whole == ["frames", "tokens", "paint", "free", "echo"]
    turned = (await world.get("/v1/models?sort_by=model_created_at&sort_direction=asc")).json()["results"]
    assert [model["name"] for model in turned] == whole[::-1]
    first = (await world.get("/v1/models?limit=2")).json()
    second = (await world.get(first["next"].removeprefix("http://localhost:1986"))).json()
    assert [model["name"] for model in second["results"]] == whole[2:4]
    back = (await world.get(second["previous"].removeprefix("http://localhost:1986"))).json()
    assert [model["name"] for model in back["results"]] == whole[:2]
    assert (await world.get("/v1/models?sort_by=name")).status == 422
    assert (await world.get("/v1/models?cursor=bz1ub25l")).status == 400


async def test_account_and_hardware(world: World) -> None:
    account = (await world.get("/v1/account")).json()
    assert account == {"type": "user", "username": "alice", "name": "alice"}
    assert (await world.get("/v1/hardware")).json() == [{"name": "CPU", "sku": "cpu"}]


async def test_keys_are_made_shown_once_and_revoked(world: World) -> None:
    admin, _ = await world.keys.issue("root", "admin", ["admin"])  # type: ignore[list-item]
    body = {"username": "carol", "name": "laptop", "scopes": ["read"]}
    made = await world.post("/v1/keys", body, token=admin)
    shown = made.json()
    token = shown.pop("token")
    assert made.status == 201
    assert (shown["username"], shown["name"], shown["scopes"], shown["revoked_at"]) == (
        "carol",
        "laptop",
        ["read"],
        None,
    )
    assert made.headers["cache-control"] == "no-store"
    assert (await world.get("/v1/account", token=token)).json()["username"] == "carol"
    listed = await world.get("/v1/keys", token=admin)
    assert token.encode() not in listed.body
    assert shown in listed.json()["results"]
    assert (await world.request("DELETE", f"/v1/keys/{shown['id']}", token=admin)).status == 204
    assert (await world.get("/v1/account", token=token)).status == 401
    assert (await world.request("DELETE", "/v1/keys/none", token=admin)).status == 404


async def test_keys_are_listed_in_pages_and_read_one_by_one(world: World) -> None:
    """There may be one for each user, and revoked ones are kept: no answer has all of them."""
    admin, own = await world.keys.issue("root", "admin", ["admin"])  # type: ignore[list-item]
    for number in range(103):
        await world.keys.issue(f"user-{number}", "", ["read"])  # type: ignore[list-item]
    found, path = [], "/v1/keys"
    for size in (100, None):
        page = (await world.get(path, token=admin)).json()
        found += page["results"]
        assert size is None or len(page["results"]) == size
        path = (page["next"] or "").removeprefix("http://localhost:1986")
    assert path == ""
    assert [one["username"] for one in found[:103]] == [f"user-{number}" for number in range(102, -1, -1)]
    assert own.id in {one["id"] for one in found[103:]}
    assert len({one["id"] for one in found}) == len(found)
    assert (await world.get(f"/v1/keys/{found[-1]['id']}", token=admin)).json() == found[-1]
    assert (await world.get(f"/v1/keys/{'0' * 26}", token=admin)).status == 404
    assert (await world.get(f"/v1/keys/{own.id}")).status == 403
    assert (await world.get("/v1/keys?cursor=bj14", token=admin)).status == 400


async def test_options_of_a_key_are_shown_and_changed_one_by_one(world: World) -> None:
    admin, _ = await world.keys.issue("root", "admin", ["admin"])  # type: ignore[list-item]
    made = (await world.post("/v1/keys", {"username": "carol", "options": {"hold": False}}, token=admin)).json()
    assert made["options"] == {"hold": False, "cancel_abandoned": False, "retention": None}
    token, path = made.pop("token"), f"/v1/keys/{made['id']}"
    assert (await world.keys.verify(token)).key.options.hold is False
    changes = {"cancel_abandoned": True, "retention": "1h"}
    changed = await world.request("PATCH", path, body={"options": changes}, token=admin)
    assert (changed.status, changed.json()) == (200, made | {"options": {"hold": False, **changes}})
    assert changed.json() in (await world.get("/v1/keys", token=admin)).json()["results"]
    assert (await world.keys.verify(token)).key.options.cancel_abandoned, "it counts at once"
    back = await world.request("PATCH", path, body={"options": {"hold": None}}, token=admin)
    assert back.json()["options"] == {"hold": True, **changes}
    assert (await world.request("PATCH", "/v1/keys/none", body={"options": {}}, token=admin)).status == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "options"),
        ({"options": []}, "options"),
        ({"options": {"hold": 1}}, "options.hold"),
        ({"options": {"hold": "no"}}, "options.hold"),
        ({"options": {"held": True}}, "options.held"),
        ({"options": {"retention": "soon"}}, "options.retention"),
        ({"options": {"retention": "0s"}}, "options.retention"),
        ({"options": {"retention": 3600}}, "options.retention"),
    ],
)
async def test_unfit_options_are_422(world: World, body: object, field: str) -> None:
    admin, _ = await world.keys.issue("root", "admin", ["admin"])  # type: ignore[list-item]
    _, key = await world.keys.issue("carol", "laptop")
    reply = await world.request("PATCH", f"/v1/keys/{key.id}", body=body, token=admin)
    assert reply.status == 422
    assert [fault["field"] for fault in reply.json()["invalid_fields"]] == [field]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"username": None}, "username"),
        ({"username": ""}, "username"),
        ({"username": 1}, "username"),
        ({"username": "a b"}, "username"),
        ({"username": "x", "scopes": ["all"]}, "scopes"),
        ({"username": "x", "scopes": "read"}, "scopes"),
        ({"username": "x", "scopes": []}, "scopes"),
        ({"username": "x", "scopes": [[]]}, "scopes"),
        ({"username": "x", "name": 5}, "name"),
        ({"username": "x", "name": "n" * 201}, "name"),
    ],
)
async def test_unfit_keys_are_422(world: World, body: object, field: str) -> None:
    admin, _ = await world.keys.issue("root", "admin", ["admin"])  # type: ignore[list-item]
    reply = await world.post("/v1/keys", body, token=admin)
    assert reply.status == 422
    assert reply.json()["invalid_fields"][0]["field"] == field


# health, logs -----------------------------------------------------------------------------------------------------


async def test_readiness_names_what_is_missing(world: World) -> None:
    assert (await world.get("/readyz", token=None)).json() == {"status": "ready", "reasons": {}}
    world.reasons["store"] = "the disk is full"
    reply = await world.get("/readyz", token=None)
    assert (reply.status, reply.json()["reasons"]) == (503, {"store": "the disk is full"})
    assert (await world.get("/healthz", token=None)).status == 200


async def test_the_access_log_holds_no_secret(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "halley.access")
    made = await world.create("acme/free")
    await world.run(made["id"])
    stream = made["urls"]["stream"].removeprefix("http://localhost:1986")
    page = made["urls"]["web"].removeprefix("http://localhost:1986")
    await world.get(stream, token=None)
    await world.get(page, token=None)
    await world.get("/v1/none/\n\x1b[31m", headers={"x-request-id": "my-id"})
    await world.post(stream)  # 405
    await world.get("/v1/d/" + stream.rpartition("/")[2])  # 404: there is no such prefix
    lines = [record.getMessage() for record in caplog.records if record.name == "halley.access"]
    assert len(lines) == 6
    assert lines[0].startswith("POST /v1/predictions 201 ")
    assert lines[1].startswith("GET /streams/{capability} 200 ")
    assert lines[3].endswith("my-id")
    for secret in (world.token, stream.rpartition("/")[2], page.rpartition("=")[2], "\n", "\x1b"):
        assert all(secret not in line for line in lines)


async def test_the_access_log_can_be_switched_off(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "halley.access")
    world = await World(server=ServerSettings(access_log=False)).fill()
    await world.get("/v1/account")
    assert not caplog.records
