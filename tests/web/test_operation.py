"""The operator's pages: each shows what the API answers to this key, and its forms ask the API."""

import html
import logging
import re

import pytest

from api.world import World
from halley.api.dependencies import UpstreamViews
from halley.api.presentation.wire.replicas import LogLine, ReplicaBody
from halley.api.presentation.wire.upstreams import (
    AddressBody,
    Balance,
    Bucket,
    Latency,
    RouteBody,
    UnknownOutcome,
    UpstreamBody,
    UpstreamError,
)
from halley.keys.records import Scope
from halley.settings import LimitSettings
from halley.web.dashboard import Dashboard
from halley.web.routes.operation import ROWS
from halley.web.rows import PageRow
from web.browser import Browser

pytestmark = pytest.mark.anyio
NOW = "2026-03-12T11:27:18.258000Z"
ODD = "<script>alert(1)</script>\u202e"
ADMIN_PAGES = sorted(row.pattern for row in ROWS if isinstance(row, PageRow) and row.needs is Scope.ADMIN)


def replica(model: str, **members: object) -> ReplicaBody:
    given = {
        "model": model,
        "version": "a" * 64,
        "state": "ready",
        "reason": None,
        "pinned": False,
        "pid": 77,
        "memory_bytes": 2**20,
        "peak_memory_bytes": 2**21,
        "device": None,
        "slots": 2,
        "busy_slots": 1,
        "uptime_seconds": 90.0,
        "load_progress": None,
        "isolation": "plain",
        "isolation_reason": None,
        "last_exit_reason": None,
        "last_exit": None,
        "unexpected_exits": 0,
    }
    return ReplicaBody(**{**given, **members})  # type: ignore[arg-type]


UPSTREAM = UpstreamBody(
    name="cloud",
    kind="replicate",
    profile="replicate",
    url="https://up.example/v1",
    addresses=[AddressBody(url="https://a.example", reason=ODD, in_flight=1, slots=2)],
    state="open",
    opened=3,
    open_seconds=8.0,
    reason="it has failed 5 times",
    in_flight=1,
    slots=20,
    submits=7,
    max_submits_per_day=100,
    unknown=1,
    paused_seconds=2.5,
    bucket=Bucket(left=3, limit=10, reset_seconds=5.0, at_once=1),
    submit_seconds=Latency(count=5, p50=0.1, p95=0.2),
    run_seconds=None,
    webhooks="arriving",
    balance=Balance(left=12.5, unit="USD", at=NOW),
    last_errors=[UpstreamError(at=NOW, text=ODD)],
)
ROUTE = RouteBody(
    name="acme/*",
    providers=["cloud", "local"],
    weights={"cloud": 3, "local": 1},
    model=None,
    has_schema=False,
    spill_over_queue=5,
    spill_over_unloaded=True,
    vault="pass",
)


def furnish(world: World, *lost: str) -> None:
    """Model processes, a service elsewhere, a route, and predictions that were lost there."""
    rows = [
        replica("acme/echo", state="loading", load_progress=0.4, reason=ODD),
        replica("acme/free", state="broken", pid=None, unexpected_exits=4, last_exit=ODD),
    ]

    async def replicas() -> list[ReplicaBody]:
        return rows

    async def upstreams() -> list[UpstreamBody]:
        return [UPSTREAM]

    async def unknown(most: int, with_settled: bool) -> list[UnknownOutcome]:
        del most, with_settled
        return [
            UnknownOutcome(
                id=one,
                account="alice",
                model="acme/free",
                provider="up",
                upstream_id=None,
                created_at=NOW,
                completed_at=None,
                error=ODD,
                settlement=None,
            )
            for one in lost
        ]

    parts = world.api.parts
    parts.replicas = replicas
    parts.memory_budget_bytes = 2**30
    parts.replica_log = lambda _model, _after, _last: [
        LogLine(number=1, ended_at=NOW, version="a" * 64, pid=77, text=ODD)
    ]
    parts.upstreams = UpstreamViews(
        upstreams=upstreams,
        unknown=unknown,
        adopt=world.outcomes.adopt,
        retry=world.outcomes.retry,
        routes=lambda: [ROUTE],
    )


async def admin(world: World) -> Browser:
    token, _ = await world.keys.issue("alice", "root key", frozenset(Scope))
    return await Browser(world).signed_in(token)


async def address(world: World, pattern: str) -> str:
    """A page of this pattern with something on it."""
    made = await world.create("acme/free")
    values = {
        "model_owner": "acme",
        "model_name": "free",
        "prediction_id": made["id"],
        "delivery_id": (await world.delivery(made["id"])).id,
        "key_id": (await world.keys.verify(world.token)).key.id,
        "file_id": await uploaded(world),
    }
    return re.sub(r"{(\w+)}", lambda found: values[found[1]], pattern)


async def uploaded(world: World) -> str:
    body = b'--b\r\nContent-Disposition: form-data; name="content"; filename="x.txt"\r\n\r\nabc\r\n--b--\r\n'
    made = await world.post("/v1/files", body, headers={"content-type": "multipart/form-data; boundary=b"})
    return str(made.json()["id"])


@pytest.mark.parametrize("pattern", sorted(row.pattern for row in ROWS if isinstance(row, PageRow)))
async def test_each_page_is_shown_and_has_its_data(world: World, pattern: str) -> None:
    made = await world.create("acme/free")
    furnish(world, made["id"])
    browser = await admin(world)
    path = await address(world, pattern)
    page = await browser.get(path)
    assert page.status == 200, page.body
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["cache-control"] == "private, no-store"
    assert page.body.count(b"<h1") == 1
    assert ODD.encode() not in page.body
    assert b"style=" not in page.body
    twin = await browser.get(f"{path}.json")
    assert (twin.status, twin.headers["content-type"]) == (200, "application/json")


@pytest.mark.parametrize("pattern", ADMIN_PAGES)
async def test_a_plain_key_is_refused_in_the_words_of_the_api(world: World, browser: Browser, pattern: str) -> None:
    page = await browser.get(await address(world, pattern))
    assert page.status == 403
    assert b"This key lacks the scope <code>admin</code>" in page.body
    assert b'aria-label="Main"' in page.body
    assert (await browser.get(f"{await address(world, pattern)}.json")).status == 403


async def test_the_navigation_has_only_what_the_key_may_see(world: World, browser: Browser) -> None:
    plain = (await browser.get("/ui/me")).body
    whole = (await (await admin(world)).get("/ui/me")).body
    links = {row.pattern: row.needs for row in ROWS if isinstance(row, PageRow) and row.nav}
    assert len(links) > 5
    for pattern, needs in links.items():
        link = f'href="{pattern}"'.encode()
        assert link in whole, pattern
        assert (link in plain) is (needs is not Scope.ADMIN), pattern


async def test_twins_are_what_the_api_answers(world: World) -> None:
    furnish(world)
    token, _ = await world.keys.issue("alice", "root key", frozenset(Scope))
    browser = await Browser(world).signed_in(token)
    for page, path in (("replicas", "replicas"), ("webhooks", "webhooks/deliveries"), ("files", "files"),
                       ("settings", "settings"), ("me", "keys/current")):  # fmt: skip
        assert (await browser.get(f"/ui/{page}.json")).json() == (await world.get(f"/v1/{path}", token=token)).json()


async def test_replicas_show_meters_progress_and_last_lines(world: World) -> None:
    furnish(world)
    page = (await (await admin(world)).get("/ui/replicas")).body.decode()
    assert '<meter class="meter" max="2" value="1" aria-label="Busy slots of process 77">' in page
    assert f'<meter class="meter" max="{2**30}" value="{2**20}"' in page
    assert "40 %" in page
    assert "Unexpected exits" in page
    assert page.count("&lt;script&gt;") >= 3  # a reason, an exit, and a printed line


async def test_setup_files_are_deleted_after_a_question(world: World) -> None:
    furnish(world)
    cleared = []

    async def clear(model: str) -> int:
        cleared.append(model)
        return 3 * 2**20

    world.api.parts.clear_setup = clear
    browser = await admin(world)
    asked = await browser.get("/ui/replicas/acme/free/clear-setup")
    assert b'action="/ui/replicas/acme/free/clear-setup"' in asked.body
    assert cleared == []
    done = await browser.post("/ui/replicas/acme/free/clear-setup")
    assert (done.status, done.headers["location"], cleared) == (303, "/ui/replicas/acme/free", ["acme/free"])
    assert b"3.0 MiB are deleted" in (await browser.get("/ui/replicas/acme/free")).body


async def test_upstreams_show_their_state_and_unknown_outcomes_are_settled(world: World) -> None:
    made = await world.create("acme/free")
    await world.lose(made["id"])
    furnish(world, made["id"])
    browser = await admin(world)
    page = (await browser.get("/ui/upstreams")).body.decode()
    for text in (
        "it has failed 5 times",
        "opened 3 times",
        "7 of 100",
        "3 of 10 left",
        "median 0.10 s, 95th percentile 0.20 s",
        "12.5 USD",
    ):
        assert text in page, text
    place = f"/ui/upstreams/unknown/{made['id']}"
    refused = await browser.post(f"{place}/adopt", {"upstream_id": "run-9", "provider": "up"})
    assert refused.status == 422
    assert b'value="run-9"' in refused.body
    assert b"data-live " not in refused.body  # its address takes no GET
    done = await browser.post(f"{place}/adopt", {"upstream_id": "run-1", "provider": "up"})
    assert (done.status, done.headers["location"].startswith("/ui/predictions/")) == (303, True)


async def test_submitting_again_needs_a_second_step(world: World) -> None:
    made = await world.create("acme/free")
    await world.lose(made["id"])
    furnish(world, made["id"])
    browser = await admin(world)
    place = f"/ui/upstreams/unknown/{made['id']}/retry"
    assert b"paid for twice" in (await browser.get(place)).body
    done = await browser.post(place)
    continued = done.headers["location"].rpartition("/")[2]
    assert (await world.row(continued)).model == "acme/free"


async def test_a_route_is_tested(world: World) -> None:
    furnish(world)
    browser = await admin(world)
    page = (await browser.get("/ui/routes?model=acme/free")).body.decode()
    assert "cloud (3), local (1)" in page
    assert "Next run begins at" in page
    assert "There is no model no/one" in (await browser.get("/ui/routes?model=no/one")).body.decode()
    assert "named by owner and name" in (await browser.get("/ui/routes?model=odd")).body.decode()


async def test_deliveries_are_shown_and_sent_again(world: World, browser: Browser) -> None:
    made = await world.create("acme/free")
    await world.run(made["id"])
    delivery = await world.delivery(made["id"])
    listed = (await browser.get(f"/ui/webhooks?prediction={made['id']}")).body.decode()
    assert delivery.id in listed
    assert "me:pw@" not in listed  # the password of a receiver
    one = (await browser.get(f"/ui/webhooks/{delivery.id}")).body.decode()
    assert "webhook-id" in one
    assert "&#34;output&#34;: &#34;é&#34;" in one
    done = await browser.post(f"/ui/webhooks/{delivery.id}/resend")
    assert (done.status, done.headers["location"]) == (303, f"/ui/webhooks?prediction={made['id']}")
    stranger = await Browser(world).signed_in(world.other_token)
    assert (await stranger.get(f"/ui/webhooks/{delivery.id}")).status == 404
    assert (await stranger.post(f"/ui/webhooks/{delivery.id}/resend")).status == 404
    assert delivery.id not in (await stranger.get("/ui/webhooks")).body.decode()


async def test_the_secret_is_shown_by_a_form_only(world: World, browser: Browser) -> None:
    secret = (await world.get("/v1/webhooks/default/secret")).json()["key"].encode()
    for path in ("/ui/webhooks", "/ui/webhooks/secret/rotate", "/ui/webhooks.json"):
        assert secret not in (await browser.get(path)).body
    assert (await browser.get("/ui/webhooks/secret")).status == 405
    assert secret in (await browser.post("/ui/webhooks/secret")).body
    wrong = await browser.post("/ui/webhooks/secret/rotate", {"overlap_hours": "many"})
    assert (wrong.status, b"must be a number" in wrong.body) == (422, True)
    assert (await browser.post("/ui/webhooks/secret/rotate", {"overlap_hours": "1000"})).status == 422
    done = await browser.post("/ui/webhooks/secret/rotate", {"overlap_hours": "2"})
    now = (await world.get("/v1/webhooks/default/secret")).json()["key"].encode()
    assert now != secret
    assert now in done.body
    reader, _ = await world.keys.issue("alice", "reader", frozenset({Scope.READ}))
    weak = await Browser(world).signed_in(reader)
    assert b"/ui/webhooks/secret" not in (await weak.get("/ui/webhooks")).body
    for answer in (await weak.post("/ui/webhooks/secret"), await weak.get("/ui/webhooks/secret/rotate")):
        assert (answer.status, b"lacks the scope <code>write</code>" in answer.body) == (403, True)


async def test_a_file_is_uploaded_downloaded_and_deleted(world: World, browser: Browser) -> None:
    name = 'a "b" é.txt'.replace('"', "%22")
    done = await browser.upload(f"/ui/files?csrf={browser.form_token}", name, b"the bytes")
    assert (done.status, done.headers["location"]) == (303, "/ui/files")
    (file,) = (await world.get("/v1/files")).json()["results"]
    assert (file["size"], file["content_type"]) == (9, "text/plain")
    page = (await browser.get("/ui/files")).body.decode()
    link = next(iter(re.findall(r'href="(/v1/files/[^"]*download[^"]*)"', page))).replace("&amp;", "&")
    assert (await browser.get(link)).body == b"the bytes"
    assert f'action="/ui/files?csrf={browser.form_token}"' in page
    nothing = await browser.upload(f"/ui/files?csrf={browser.form_token}", "", b"", part="other")
    assert (nothing.status, "content is required" in nothing.body.decode()) == (422, True)
    asked = await browser.get(f"/ui/files/{file['id']}/delete")
    assert asked.status == 200
    stranger = await Browser(world).signed_in(world.other_token)
    assert (await stranger.post(f"/ui/files/{file['id']}/delete")).status == 404
    assert (await browser.post(f"/ui/files/{file['id']}/delete")).status == 303
    assert (await world.get("/v1/files")).json()["results"] == []


async def test_the_token_of_a_new_key_is_shown_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    browser = await admin(world)
    newest = re.search(r'name="newest" value="(\w+)"', (await browser.get("/ui/keys")).body.decode())
    assert newest
    form = [
        ("newest", newest[1]),
        ("name", ODD),
        ("username", "bob"),
        ("prefix", "r8"),
        ("scopes", "read"),
        ("scopes", "write"),
        ("hold", "1"),
        ("retention", "1h"),
    ]
    made = await browser.post("/ui/keys", form)
    page = made.body.decode()
    (token,) = set(re.findall(r"r8_[A-Za-z0-9]{37}", page))
    assert (made.status, made.headers["cache-control"]) == (201, "private, no-store")
    assert f"halley env --server http://localhost:1986 --token {token}" in page
    assert f"export REPLICATE_API_TOKEN={token}" in page
    assert ODD not in page
    key = (await world.keys.verify(token)).key
    assert (key.name, key.options.hold, key.options.retention) == (ODD, True, "1h")
    # the browser loads the page again: it posts the same form
    again = await browser.post("/ui/keys", form)
    assert (again.status, b"is not shown again" in again.body) == (422, True)
    assert len([one for one, _ in await world.keys.page() if one.name == ODD]) == 1
    later = [
        again,
        await browser.get("/ui/keys"),
        await browser.get("/ui/keys.json"),
        await browser.get(f"/ui/keys/{key.id}"),
    ]
    later += [await (await Browser(world).signed_in(token)).get("/ui/me"), await browser.get("/ui")]
    for answer in later:
        assert token.encode() not in answer.body
        assert token not in str(answer.raw_headers)
    assert token not in caplog.text
    assert token not in repr(vars(world.store.tables))


async def test_keys_are_shown_in_pages(world: World) -> None:
    for number in range(103):
        await world.keys.issue(f"user-{number}", "", frozenset({Scope.READ}))
    browser = await admin(world)
    first = (await browser.get("/ui/keys")).body.decode()
    assert (first.count(">valid<"), "user-0<" in first) == (100, False)
    older = re.search(r'href="(\?[^"]*)">Older<', first)
    assert older
    second = (await browser.get(f"/ui/keys{html.unescape(older[1])}")).body.decode()
    assert "user-0<" in second
    newest = [re.search(r'name="newest" value="(\w+)"', page) for page in (first, second)]
    assert newest[0]
    assert newest[1]
    assert newest[0][1] == newest[1][1]  # a key can be made on each page
    (oldest,) = re.findall(r'href="(/ui/keys/\w+)">\w+</a></td>\s*<td dir="auto">user-0<', second)
    assert (await browser.get(oldest)).status == 200
    assert (await browser.get("/ui/keys/current")).status == 404


async def test_a_refused_key_keeps_what_was_typed(world: World) -> None:
    browser = await admin(world)
    refused = await browser.post("/ui/keys", {"name": "mine", "username": "not valid!", "scopes": "admin"})
    page = refused.body.decode()
    assert (refused.status, "username: use 1 to 60 letters" in page) == (422, True)
    assert 'value="not valid!"' in page
    assert 'value="admin" checked' in page
    none = await browser.post("/ui/keys", {"name": "mine"})
    assert (none.status, "name at least one scope" in none.body.decode()) == (422, True)


async def test_options_change_and_a_key_is_revoked_after_a_question(world: World) -> None:
    browser = await admin(world)
    key = (await world.keys.verify(world.token)).key
    place = f"/ui/keys/{key.id}"
    wrong = await browser.post(place, {"retention": "soon"})
    assert (wrong.status, 'value="soon"' in wrong.body.decode()) == (422, True)
    assert (await browser.post(place, {"cancel_abandoned": "1", "retention": "30d"})).status == 303
    options = (await world.keys.verify(world.token)).key.options
    assert (options.hold, options.cancel_abandoned, options.retention) == (False, True, "30d")
    assert (await browser.get(f"{place}/revoke")).status == 200
    assert (await world.get("/v1/account")).status == 200
    assert (await browser.post(f"{place}/revoke")).status == 303
    assert (await world.get("/v1/account")).status == 401
    assert b"revoked" in (await browser.get(place)).body
    assert (await browser.get("/ui/keys/absent")).status == 404


async def test_settings_are_filtered_and_secrets_masked(world: World) -> None:
    browser = await admin(world)
    page = (await browser.get("/ui/settings?q=json_depth")).body.decode()
    assert "limits.json_depth" in page
    assert "limits.json_values" not in page
    assert "All settings have their defaults" in (await browser.get("/ui/settings")).body.decode()
    assert "limits.json_values" in (await browser.get("/ui/settings?all=1")).body.decode()
    assert "No setting has this in its name" in (await browser.get("/ui/settings?q=zzz")).body.decode()


async def test_a_plain_key_sees_what_it_may_do_and_has_used(world: World, browser: Browser) -> None:
    assert b"has made no prediction" in (await browser.get("/ui/me")).body
    made = await world.create("acme/free")
    await world.run(made["id"])
    page = (await browser.get("/ui/me")).body.decode()
    assert f"/ui/predictions?key={(await world.keys.verify(world.token)).key.id}" in page
    assert "<dt>succeeded</dt><dd>1</dd>" in page


async def test_who_revokes_the_own_key_is_signed_out(world: World) -> None:
    browser = await admin(world)
    key = next(key for key, _ in await world.keys.page() if key.name == "root key")
    assert b"you will be signed out" in (await browser.get(f"/ui/keys/{key.id}/revoke")).body
    assert (await browser.post(f"/ui/keys/{key.id}/revoke")).status == 303
    assert (await browser.get("/ui/keys")).headers["location"].startswith("/ui/sign-in")


@pytest.mark.parametrize(
    ("page", "region"),
    [("replicas", "replicas"), ("replicas/acme/free", "lines"), ("upstreams", "upstreams"), ("webhooks", "deliveries"),
     ("settings", "health"), ("me", "usage")],
)  # fmt: skip
async def test_live_regions_are_in_fragments_and_hold_no_form(world: World, page: str, region: str) -> None:
    furnish(world)
    browser = await admin(world)
    whole = (await browser.get(f"/ui/{page}")).body.decode()
    fragment = (await browser.get(f"/ui/{page}", x_fragment="1")).body.decode()
    assert '<nav class="main"' not in fragment
    for text in (whole, fragment):
        found = re.search(rf'<section[^>]*id="{region}"[^>]*data-live.*?</section>', text, re.DOTALL)
        assert found, page
        assert "<form" not in found[0]


async def test_an_upload_needs_the_token_in_its_address_and_our_origin(world: World, browser: Browser) -> None:
    address = f"/ui/files?csrf={browser.form_token}"
    without = await browser.upload("/ui/files", "a.txt", b"x")  # its token is in the body only
    strange = await Browser(world).upload(address, "a.txt", b"x")
    browser.origin = "https://evil.example"
    foreign = await browser.upload(address, "a.txt", b"x")
    assert [without.status, strange.status, foreign.status] == [403, 303, 403]
    assert (await world.get("/v1/files")).json()["results"] == []


async def test_an_upload_is_as_large_as_the_api_takes_it() -> None:
    limits = LimitSettings(upload_bytes=2**20, bodies_per_key_bytes=2**16)  # so much may be held in memory for a key
    world = await World(limits=limits).fill()
    browser = await Browser(world).signed_in(world.token)
    address = f"/ui/files?csrf={browser.form_token}"
    assert (await browser.upload(address, "large.bin", bytes(2**20))).status == 303
    (file,) = (await world.get("/v1/files")).json()["results"]
    assert file["size"] == 2**20
    refused = await browser.upload(address, "large.bin", bytes(2**20 + 1))
    assert (refused.status, "limits.upload_bytes" in refused.body.decode()) == (422, True)


async def test_a_path_is_never_a_query_or_a_header(world: World) -> None:
    browser = await admin(world)
    _, key = await world.keys.issue("alice", "mine", frozenset({Scope.READ}))
    form = {"hold": "1"}
    odd = await browser.post(f"/ui/keys/{key.id}%3Fx%0D%0Aset-cookie:%20a=b", form)
    assert odd.status == 404
    assert (await browser.post(f"/ui/keys/{key.id}", form)).headers["location"] == f"/ui/keys/{key.id}"
    ((_, there),) = Dashboard.redirect("/ui/a\r\nb: c ä?x=1%20#y").headers
    assert there == b"/ui/a%0D%0Ab:%20c%20%C3%A4?x=1%20#y"
