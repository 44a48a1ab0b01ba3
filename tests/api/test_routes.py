"""The route table: router, 405, the account matrix, the OpenAPI document, problems."""

import json

import pytest

from api.world import World
from halley import errors
from halley.api.http.routing import Route, Router
from halley.api.presentation import problems
from halley.api.resources.openapi import document, method_key
from halley.api.routes import ROUTES
from halley.keys.records import Scope

OPEN = [route for route in ROUTES if route.scope is None]
KEYED = [route for route in ROUTES if route.scope is not None]
NAMES = [route.name for route in KEYED]
OWNED = frozenset({"prediction_id", "file_id", "delivery_id", "bulk_action_id"})  # by an account
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "PROPFIND")


def filled(route: Route, **values: str) -> str:
    pattern = route.pattern
    for name in route.parameter_names:
        pattern = pattern.replace("{" + name + "}", values.get(name, "absent"))
    query = "?query=free" if route.name == "search" else ""
    return pattern if route.at_root else f"/v1{pattern}{query}"


def body_of(route: Route) -> dict[str, object]:
    """A good enough request for any route."""
    if route.body == "multipart":
        content = b'--b\r\nContent-Disposition: form-data; name="content"; filename="x"\r\n\r\nabc\r\n--b--\r\n'
        return {"body": content, "headers": {"content-type": "multipart/form-data; boundary=b"}}
    if route.name == "keys.create":
        return {"body": {"username": "carol"}}
    if route.name == "keys.change":
        return {"body": {"options": {"hold": False}}}
    if route.name == "upstreams.unknown.adopt":
        return {"body": {"upstream_id": "run-1"}}
    if route.name in ("bulk_actions.create", "bulk_actions.preview"):
        return {"body": {"action": "cancel", "filter": {}}}
    return {"body": {"version": "acme/free", "input": {}}} if route.body == "json" else {}


async def things(world: World) -> dict[str, str]:
    """Ids of things of alice's, by parameter name."""
    made = await world.create("acme/free")
    content = b'--b\r\nContent-Disposition: form-data; name="content"; filename="x"\r\n\r\nabc\r\n--b--\r\n'
    file = await world.post("/v1/files", content, headers={"content-type": "multipart/form-data; boundary=b"})
    _, key = await world.keys.issue("dave", "spare")
    delivery = await world.delivery(made["id"])
    bulk = await world.post("/v1/bulk-actions", {"action": "cancel", "filter": {"model": "no/one"}})
    return {
        "prediction_id": made["id"],
        "file_id": file.json()["id"],
        "delivery_id": delivery.id,
        "bulk_action_id": bulk.json()["id"],
        "model_owner": "acme",
        "model_name": "free",
        "version_id": world.versions["acme/free"],
        "key_id": key.id,
        "collection_slug": "picks",
        "file_index": "0",
    }


async def prepare(world: World, route: Route, values: dict[str, str]) -> None:
    """Bring the prediction into the state that the route needs."""
    if route.name == "predictions.data.delete":
        await world.run(values["prediction_id"])  # only what is over
    if route.name == "predictions.files.get":
        values["prediction_id"] = (await world.create("acme/free"))["id"]
        file = await world.keep(values["prediction_id"], 0, "a.txt", b"abc", "text/plain")
        await world.run(values["prediction_id"], file.ref, files=(file,))
    if route.name == "predictions.rerun":
        values["prediction_id"] = (await world.create("acme/free"))["id"]  # only what has its input
    if route.name.startswith("upstreams.unknown."):
        values["prediction_id"] = (await world.create("acme/free"))["id"]
        await world.lose(values["prediction_id"])


@pytest.mark.anyio
@pytest.mark.parametrize("route", KEYED, ids=NAMES)
class TestAccounts:
    """Each route against each kind of caller."""

    async def test_its_owner_may(self, world: World, route: Route) -> None:
        values = await things(world)
        token, _ = await world.keys.issue("alice", "everything", frozenset(Scope))
        await prepare(world, route, values)
        reply = await world.request(route.method, filled(route, **values), token=token, **body_of(route))
        assert reply.status in route.success, reply.body

    async def test_another_account_finds_nothing(self, world: World, route: Route) -> None:
        values = await things(world)
        token, _ = await world.keys.issue("mallory", "everything", frozenset({Scope.READ, Scope.WRITE}))
        reply = await world.request(route.method, filled(route, **values), token=token, **body_of(route))
        if route.scope is Scope.ADMIN:
            assert reply.status == 403
        elif OWNED & set(route.parameter_names):
            assert reply.status == 404
            nothing = dict.fromkeys(OWNED, "0" * 26)
            absent = await world.request(route.method, filled(route, **nothing), token=token, **body_of(route))
            hidden = [{**one.json(), "detail": "", "instance": ""} for one in (reply, absent)]
            assert hidden[0] == hidden[1], "foreign and absent look the same"
        else:
            assert reply.status in route.success
            for value in (
                *(values[f"{kind}_id"] for kind in ("prediction", "file", "key", "delivery", "bulk_action")),
                "alice",
            ):
                assert value.encode() not in reply.body

    @pytest.mark.parametrize(
        "authorization",
        [
            None,
            "",
            "Bearer",
            "Bearer ",
            "Basic YTpi",
            "Bearer nonsense",
            "Token hly_" + "a" * 38,
            "Bearer \x00",
            "x" * 9000,
        ],
    )
    async def test_without_a_valid_key_it_is_401_before_anything_else(
        self, world: World, route: Route, authorization: str | None
    ) -> None:
        sent = {} if authorization is None else {"authorization": authorization}
        reply = await world.request(route.method, filled(route), body=b"\xff{", headers=sent, token=None)
        assert (reply.status, reply.json()["title"]) == (401, "Unauthenticated")
        assert reply.headers["www-authenticate"] == "Bearer"
        assert reply.headers["content-type"] == "application/problem+json"

    async def test_a_revoked_key_is_401(self, world: World, route: Route) -> None:
        token, key = await world.keys.issue("alice", "soon gone", frozenset(Scope))
        await world.keys.verify(token)
        await world.keys.revoke(key.id)
        assert (await world.request(route.method, filled(route), token=token)).status == 401

    async def test_a_key_without_the_scope_is_403(self, world: World, route: Route) -> None:
        others = frozenset({Scope.READ, Scope.WRITE} - {route.scope})
        token, _ = await world.keys.issue("alice", "wrong scope", others)
        reply = await world.request(route.method, filled(route), token=token)
        assert (reply.status, reply.json()["title"]) == (403, "Forbidden")

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Token", "token"])
    async def test_both_schemes_count_in_any_case(self, world: World, route: Route, scheme: str) -> None:
        token, _ = await world.keys.issue("alice", "all", frozenset(Scope))
        reply = await world.request(
            route.method, filled(route), headers={"authorization": f"{scheme} {token}"}, token=None
        )
        assert reply.status not in (401, 403)


@pytest.mark.anyio
@pytest.mark.parametrize("route", OPEN, ids=[route.name for route in OPEN])
async def test_open_routes_ask_for_no_key_and_never_fail(world: World, route: Route) -> None:
    for token in (None, "nonsense", world.token):
        reply = await world.request(route.method, filled(route), token=token)
        assert reply.status in (200, 403, 404)


@pytest.mark.anyio
@pytest.mark.parametrize("pattern", sorted({route.pattern for route in ROUTES}))
async def test_methods_that_are_not_served_are_405_with_allow(world: World, pattern: str) -> None:
    routes = [route for route in ROUTES if route.pattern == pattern]
    place = Router(ROUTES).find(filled(routes[0]).partition("?")[0].encode())
    assert place is not None
    allowed = place.place.allow.decode().split(", ")
    assert set(allowed) >= {route.method for route in routes}
    for method in METHODS:
        if method in allowed:
            continue
        reply = await world.request(method, filled(routes[0]))
        assert reply.status == 405, method
        assert reply.headers["allow"].split(", ") == allowed
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.headers["x-should-retry"] == "false"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v2/predictions",
        "/v1/none",
        "/v1/predictions/a/b/c",
        "/v2//predictions",
        "/v1//x",
        "/v1/replicate/predictions",
        "/v1/healthz",
        "/replicate/p/x",
        "/v1/d/a/b",
        "*",
        "",
    ],
)
async def test_unknown_paths_are_404_problems(world: World, path: str) -> None:
    reply = await world.get(path)
    assert (reply.status, reply.json()["title"]) == (404, "Not found")


def test_no_two_routes_share_a_place() -> None:
    assert len({(route.method, route.pattern) for route in ROUTES}) == len(ROUTES)
    assert len({route.name for route in ROUTES}) == len(ROUTES)


def test_capabilities_are_found_beside_ids() -> None:
    router = Router(ROUTES)
    stream, file = router.find(b"/v1/files/stream-abc"), router.find(b"/v1/files/abc")
    assert stream is not None
    assert file is not None
    assert (stream.params, stream.place.routes["GET"].name) == (("abc",), "streams.files.get")
    assert (file.params, file.place.routes["GET"].name) == (("abc",), "files.get")


@pytest.mark.anyio
async def test_head_is_get_without_the_body(world: World) -> None:
    made = await world.create("acme/free")
    got = await world.get(f"/v1/predictions/{made['id']}", headers={"x-request-id": "x"})
    head = await world.request("HEAD", f"/v1/predictions/{made['id']}", headers={"x-request-id": "x"})
    assert (head.status, head.body, head.headers) == (200, b"", got.headers)


# the OpenAPI document ----------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_the_document_is_served_to_everybody(world: World) -> None:
    reply = await world.get("/v1/openapi.json", token=None)
    assert reply.json() == json.loads(json.dumps(document(ROUTES)))


def test_the_document_describes_every_route() -> None:
    described = document(ROUTES)
    for route in ROUTES:
        path = route.pattern if route.at_root else f"/v1{route.pattern}"
        operation = described["paths"][path][method_key(route)]
        assert operation["security"] == ([] if route.scope is None else [{"key": []}])
        assert {str(status) for status in route.success} < set(operation["responses"])
        assert operation["responses"]["default"]["content"].keys() >= {"application/problem+json"}


def test_the_document_is_valid() -> None:
    validator = pytest.importorskip("openapi_spec_validator")
    validator.validate(document(ROUTES))


@pytest.mark.anyio
async def test_answers_have_the_shape_that_the_document_says(world: World) -> None:
    import jsonschema_rs

    described = document(ROUTES)
    values = await things(world)
    token, _ = await world.keys.issue("alice", "everything", frozenset(Scope))
    for route in KEYED:
        if route.name != "predictions.data.delete":
            await prepare(world, route, values)
        reply = await world.request(route.method, filled(route, **values), token=token, **body_of(route))
        path = f"/v1{route.pattern}"
        response = described["paths"][path][method_key(route)]["responses"][str(reply.status)]
        if "content" not in response:
            assert reply.body == b""
            continue
        if "application/json" not in response["content"]:
            assert reply.body
            continue
        assert reply.headers["content-type"] == "application/json"
        schema = {**response["content"]["application/json"]["schema"], "components": described["components"]}
        jsonschema_rs.Draft202012Validator(schema).validate(reply.json())
        if route.method == "DELETE":
            values = await things(world)


# problems ----------------------------------------------------------------------------------------------------------


def leaves(kind: type[errors.HalleyError]) -> list[type[errors.HalleyError]]:
    below = [leaf for child in kind.__subclasses__() if child.__module__ == "halley.errors" for leaf in leaves(child)]
    return below or [kind]


@pytest.mark.parametrize("kind", leaves(errors.HalleyError))
def test_each_error_has_a_row(kind: type[errors.HalleyError]) -> None:
    assert kind in problems.STATUS


@pytest.mark.parametrize("kind", list(problems.STATUS))
def test_each_problem_is_complete(kind: type[errors.HalleyError]) -> None:
    field = errors.InvalidField(type="t", field="f", description="d")
    error = kind((field,)) if kind is errors.InputInvalid else kind("why")
    answer = problems.problem_of(error, "id")
    shown = json.loads(answer.body)
    assert isinstance(shown["detail"], str)
    assert shown["status"] == answer.status
    assert shown["title"]
    headers = dict(answer.headers)
    assert headers[b"content-type"] == b"application/problem+json"
    assert (b"retry-after" in headers) == issubclass(kind, errors.Busy)
    is_final = (400 <= answer.status < 500 and answer.status != 429) or kind is errors.ModelBroken
    assert (headers.get(b"x-should-retry") == b"false") == is_final


@pytest.mark.anyio
@pytest.mark.parametrize("where", ["before the write", "in the write", "after the write"])
async def test_a_bug_of_ours_is_a_500_without_details(
    world: World, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*args: object, **more: object) -> None:
        raise RuntimeError("the password is swordfish")

    def broken_at_once(*args: object, **more: object) -> None:
        raise RuntimeError("the password is swordfish")

    if where == "before the write":
        world.predictions.submit = broken  # type: ignore[method-assign, assignment]
    elif where == "in the write":
        world.store.create = broken  # type: ignore[method-assign, assignment]
    else:
        world.api.parts.presenter.json = broken_at_once  # type: ignore[method-assign, assignment]
    reply = await world.post("/v1/predictions", {"version": "acme/free"})
    assert reply.status == 500
    assert b"swordfish" not in reply.body
    assert reply.headers["x-should-retry"] == "false"
    assert reply.headers["x-request-id"] in caplog.text


@pytest.mark.anyio
async def test_a_full_queue_is_429_with_a_short_wait(world: World) -> None:
    async def full(*args: object, **more: object) -> None:
        raise errors.QueueFull("too many", retry_after_seconds=2)

    world.store.create = full  # type: ignore[method-assign, assignment]
    reply = await world.post("/v1/predictions", {"version": "acme/free"})
    assert (reply.status, reply.headers["retry-after"], reply.json()["retry_after"]) == (429, "2", 2)
    assert "x-should-retry" not in reply.headers
