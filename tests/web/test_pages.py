"""Signing in, and the pages behind it."""

import gzip
from urllib.parse import quote

import pytest

from api.world import World
from halley.web.cookies import set_note
from web.browser import Browser

pytestmark = pytest.mark.anyio


async def test_a_key_opens_the_dashboard(world: World) -> None:
    browser = Browser(world)
    refused = await browser.get("/ui/models?limit=5")
    assert (refused.status, refused.headers["location"]) == (303, "/ui/sign-in?next=%2Fui%2Fmodels%3Flimit%3D5")
    wrong = await browser.post("/ui/sign-in", {"key": "hly_wrong"}, token=None)
    assert wrong.status == 401
    assert b"not valid" in wrong.body
    await browser.signed_in(world.token)
    shown = await browser.get("/ui/models")
    assert shown.status == 200
    assert b"acme/echo" in shown.body


async def test_a_twin_is_what_the_api_answers(world: World, browser: Browser) -> None:
    twin = await browser.get("/ui/models.json?limit=2")
    api = await world.get("/v1/models?limit=2")
    assert twin.json() == {"models": api.json()}


async def test_signing_out_here_and_everywhere(world: World, browser: Browser) -> None:
    other = await Browser(world).signed_in(world.token)
    assert (await browser.post("/ui/sign-out")).status == 303
    assert (await browser.get("/ui")).status == 303
    assert (await other.get("/ui")).status == 200
    third = await Browser(world).signed_in(world.token)
    await third.post("/ui/sign-out", {"everywhere": "1"})
    assert (await other.get("/ui")).status == 303


async def test_a_sign_in_ends_with_its_key_and_after_its_time(world: World, browser: Browser) -> None:
    world.clock.advance(11 * 3600)
    assert (await browser.get("/ui")).status == 200
    world.clock.advance(11 * 3600)
    assert (await browser.get("/ui")).status == 200
    world.clock.advance(12 * 3600 + 1)
    assert (await browser.get("/ui")).status == 303
    again = await Browser(world).signed_in(world.token)
    key = (await world.keys.verify(world.token)).key
    await world.keys.revoke(key.id)
    assert (await again.get("/ui")).status == 303
    assert (await again.get("/ui.json")).status == 401


async def test_a_link_signs_in_once_and_soon(world: World) -> None:
    code = world.sign_ins.make_code(world.token)
    browser = Browser(world)
    assert code.encode() in (await browser.get(f"/ui/sign-in?code={code}")).body
    assert (await browser.post("/ui/sign-in", {"code": code}, token=None)).status == 303
    assert (await browser.get("/ui")).status == 200
    again = await Browser(world).post("/ui/sign-in", {"code": code}, token=None)
    assert again.status == 401
    late = world.sign_ins.make_code(world.token)
    world.clock.advance(601)
    assert (await Browser(world).post("/ui/sign-in", {"code": late}, token=None)).status == 401


@pytest.mark.parametrize(
    "there", ["https://evil.example", "//evil.example", "/\\evil.example", "/v1/models", "/ui\\..", ""]
)
async def test_signing_in_leads_to_our_pages_only(world: World, there: str) -> None:
    reply = await Browser(world).post("/ui/sign-in", {"key": world.token, "next": there}, token=None)
    assert reply.headers["location"] == "/ui"


async def test_the_root_leads_browsers_on_and_tells_programs_where_things_are(world: World) -> None:
    browser = await world.get("/", headers={"accept": "text/html,*/*;q=0.8"}, token=None)
    assert (browser.status, browser.headers["location"]) == (303, "/ui")
    program = await world.get("/", token=None)
    assert program.json()["api"] == "http://localhost:1986/v1"


async def test_refusals_are_shown_in_the_words_of_the_api(world: World, browser: Browser) -> None:
    page = await browser.get("/ui/models?limit=many")
    assert page.status == 422
    assert b"must be an integer from 1 to 100" in page.body
    twin = await browser.get("/ui/models.json?limit=many")
    assert twin.json()["detail"] == (await world.get("/v1/models?limit=many")).json()["detail"]


async def test_cookies_are_closed_to_scripts_and_other_sites(world: World) -> None:
    reply = await Browser(world).post("/ui/sign-in", {"key": world.token}, token=None)
    cookie = reply.headers["set-cookie"]
    assert cookie.endswith("; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict")
    secure = await world.request(
        "POST",
        "/ui/sign-in",
        body=f"key={world.token}".encode(),
        headers={"content-type": "application/x-www-form-urlencoded", "origin": "https://localhost:1986"},
        scope_extra={"scheme": "https"},
        token=None,
    )
    assert secure.headers["set-cookie"].startswith("__Host-halley_session_1986=")
    assert secure.headers["set-cookie"].endswith("; Secure")


async def test_files_are_kept_for_ever_under_their_digest(world: World, browser: Browser) -> None:
    path = world.dashboard.assets.path("app.css")
    reply = await browser.get(path)
    assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (await browser.get("/ui/static/old/app.css")).headers["cache-control"] == "no-cache"
    packed = await browser.get(path, accept_encoding="gzip")
    assert gzip.decompress(packed.body) == reply.body
    assert (await browser.get(f"/ui/static/{world.dashboard.assets.digest}/other.css")).status == 404


async def test_pages_name_their_assets_and_allow_nothing_else(browser: Browser) -> None:
    page = await browser.get("/ui")
    assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert b"<script>" not in page.body
    assert b" style=" not in page.body
    assert b"onclick" not in page.body


async def test_a_link_on_another_site_leads_through_our_own_page(world: World, browser: Browser) -> None:
    followed = await Browser(world).get("/ui/models?limit=2", sec_fetch_site="cross-site")  # without the cookie
    assert followed.status == 200
    assert b'content="0;url=/ui/models?limit=2"' in followed.body
    assert (await browser.get("/ui/models?limit=2", sec_fetch_site="same-origin")).status == 200
    unknown = await Browser(world).get("/ui/models?limit=2", sec_fetch_site="same-origin")
    assert unknown.status == 303


async def test_forms_are_not_held_longer_than_their_request(world: World, browser: Browser) -> None:
    await browser.post("/ui/sign-in", {"key": "wrong" * 1000}, token=None)
    await browser.post("/ui/welcome/dismiss", {"more": "x" * 1000})
    too_large = await browser.post("/ui/sign-in", {"key": "x" * 10_000}, token=None)
    assert too_large.status == 413
    assert world.api.parts.bodies.held_bytes == 0


async def test_a_link_with_more_slashes_stays_on_this_server(world: World) -> None:
    stranger = Browser(world)
    followed = await stranger.get("//ui/models", sec_fetch_site="cross-site", accept="text/html")
    assert b'href="/ui/models"' in followed.body
    assert b'"//ui' not in followed.body
    there = (await stranger.get("//ui/models", accept="text/html")).headers["location"]
    assert there == "/ui/sign-in?next=%2Fui%2Fmodels"


def test_a_note_fits_into_a_cookie() -> None:
    for text in ("x" * 9000, "ä" * 9000, "日" * 9000, "😀" * 9000):
        (name, value) = set_note(text, is_https=True)
        assert name == b"set-cookie"
        assert 200 < len(value) < 4000


@pytest.mark.parametrize("there", ["http://[", "//[", "//evil.example", "/ui\\evil", "/uievil", "javascript:alert(1)"])
async def test_a_sign_in_leads_to_pages_of_ours_only(world: World, there: str) -> None:
    browser = Browser(world)
    shown = await browser.get(f"/ui/sign-in?next={quote(there)}")
    assert shown.status == 200
    assert 'name="next" value="/ui"' in shown.body.decode()
    done = await browser.post("/ui/sign-in", {"key": world.token, "next": there}, token=None)
    assert done.headers["location"] == "/ui"


async def test_signing_in_again_ends_the_earlier_sign_in(world: World, browser: Browser) -> None:
    earlier = dict(browser.cookies)
    await browser.post("/ui/sign-in", {"key": "wrong"}, token=None)
    assert (await browser.get("/ui")).status == 200
    await browser.signed_in(world.other_token)
    assert (await browser.get("/ui")).status == 200
    browser.cookies = earlier
    assert (await browser.get("/ui")).status == 303


async def test_servers_on_two_ports_of_a_host_have_sign_ins_of_their_own(world: World, browser: Browser) -> None:
    other = Browser(world)
    other.origin, other.host = "http://localhost:1987", "localhost:1987"
    other.cookies = browser.cookies  # browsers keep one set of cookies for all ports
    await other.signed_in(world.token)
    for one in (browser, other):
        assert (await one.get("/ui", accept="text/html")).status == 200
    await other.post(
        "/ui/sign-out", {"csrf": world.sign_ins.form_token(other.cookies["halley_session_1987"])}, token=None
    )
    assert (await other.get("/ui", accept="text/html")).status == 303
    assert (await browser.get("/ui", accept="text/html")).status == 200
