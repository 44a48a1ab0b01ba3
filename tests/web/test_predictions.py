"""The list of predictions and the groups of errors: what they show, and that their addresses are their state."""

import csv
import io
import re
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.world import World
from halley.keys.records import Scope
from halley.predictions import overview
from halley.predictions.status import Fact
from halley.web.views.error_chart import chart_of, sum_of
from halley.web.views.filter_line import read_line, write_line
from halley.web.views.saved_views import MOST_VIEWS, SavedView, read_views, with_view, without_view, write_views
from web.browser import Browser

pytestmark = pytest.mark.anyio
ODD = "<script>alert(1)</script>\u202e"


async def failed(world: World, error: str, **more: Any) -> str:
    made = await world.create(**more)
    await world.start(made["id"])
    await world.finish(made["id"], Fact.FAILED, error=error)
    return str(made["id"])


def listed(page: bytes) -> list[str]:
    return re.findall(r'title="Prediction (\w{26})"', page.decode())


async def test_a_filter_chooses_what_is_listed(world: World, browser: Browser) -> None:
    one = await failed(world, "no file 7")
    other = (await world.create("acme/free"))["id"]
    assert listed((await browser.get("/ui/predictions")).body) == [other, one]
    assert listed((await browser.get("/ui/predictions?status=failed")).body) == [one]
    assert listed((await browser.get("/ui/predictions?model=acme/fr*")).body) == [other]
    assert listed((await browser.get("/ui/predictions?error=FILE&since=24h")).body) == [one]
    world.clock.advance(2 * 86_400)
    assert listed((await browser.get("/ui/predictions?since=24h")).body) == []


async def test_the_form_shows_the_filter(browser: Browser) -> None:
    page = (await browser.get("/ui/predictions?status=failed%2Caborted&since=2h&tag=a%22b")).body.decode()
    assert '<option value="failed,aborted" selected>' in page
    assert '<option value="2h" selected>' in page
    assert 'name="tag" value="a&#34;b"' in page
    assert "status:failed,aborted" in page


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        ("status=failed&model=&tag=", "/ui/predictions?status=failed"),
        ("model=&tag=", "/ui/predictions"),
        ("q=", "/ui/predictions"),
        ("q=status:failed+out+of+memory", "/ui/predictions?status=failed&error=out+of+memory"),
    ],
)
async def test_a_filter_has_one_address(browser: Browser, asked: str, there: str) -> None:
    reply = await browser.get(f"/ui/predictions?{asked}")
    assert reply.status == 303
    found, expected = (text.partition("?") for text in (reply.headers["location"], there))
    assert found[0] == expected[0]
    assert parse_qs(found[2]) == parse_qs(expected[2])


async def test_what_is_wrong_is_said_at_its_field(browser: Browser) -> None:
    soon = (await browser.get("/ui/predictions?since=soon")).body.decode()
    assert 'id="e-since" dir="auto">must be a span such as 24h' in soon
    page = await browser.get("/ui/predictions?status=faild&key=x")
    text = page.body.decode()
    assert page.status == 422
    for name, said in (("status", "did you mean failed?"), ("key", "the id of a key")):
        assert re.search(rf'id="e-{name}"[^>]*>[^<]*{re.escape(said)}', text), name
    assert 'aria-describedby="e-status"' in text
    assert '<details class="drawer" open>' in text
    assert (await browser.get("/ui/predictions.json?status=faild")).status == 422


async def test_pages_lead_to_older_and_back(world: World, browser: Browser) -> None:
    ids = [await failed(world, "x") for _ in range(5)]
    path, seen = "/ui/predictions?status=failed&since=24h&limit=2", []
    for _ in range(3):
        page = (await browser.get(path)).body.decode()
        seen.append(listed(page.encode()))
        found = re.search(r'rel="next" href="([^"]*)"', page)
        path = found[1].replace("&amp;", "&") if found else path
    assert seen == [ids[:2:-1], ids[2:0:-1], ids[:1]]
    assert "since=24h" in path
    back = re.search(r'rel="prev" href="([^"]*)"', page)
    assert back
    assert listed((await browser.get(back[1].replace("&amp;", "&"))).body) == ids[2:0:-1]


async def test_tags_lead_to_what_has_them(world: World, browser: Browser) -> None:
    body = {"version": "acme/free", "input": {}, "tags": [ODD.rstrip("\u202e"), "b"]}
    made = (await world.post("/v1/predictions", body)).json()["id"]
    page = (await browser.get("/ui/predictions")).body.decode()
    assert 'href="/ui/predictions?tag=b"' in page
    assert "<script>alert" not in page
    assert listed((await browser.get("/ui/predictions?tag=b")).body) == [made]


async def test_texts_of_others_are_text(world: World, browser: Browser) -> None:
    await failed(world, ODD)
    query = urlencode({"error": ODD, "model": f"{ODD}*", "tag": ODD, "since": ODD})
    for path in ("/ui/predictions", "/ui/errors", f"/ui/predictions?{query}", f"/ui/errors?{query}"):
        page = await browser.get(path)
        assert page.status in (200, 422)
        assert b"<script>alert" not in page.body


async def test_the_twin_is_what_the_api_answers(world: World, browser: Browser) -> None:
    await failed(world, "x")
    api = await world.get("/v1/predictions?status=failed&limit=50&include=tags")
    assert (await browser.get("/ui/predictions.json?status=failed")).json() == {"predictions": api.json()}
    errors = await world.get("/v1/errors?since=7d")
    assert (await browser.get("/ui/errors.json?since=7d")).json() == {"errors": errors.json()}


async def test_the_list_can_be_saved_as_a_table(world: World, browser: Browser) -> None:
    ids = [await failed(world, f'=HYPERLINK("{n}")') for n in range(130)]
    reply = await browser.get("/ui/predictions.csv?status=failed")
    rows = list(csv.DictReader(io.StringIO(reply.body.decode())))
    assert [row["id"] for row in rows] == ids[::-1]
    assert rows[0]["error"] == '\'=HYPERLINK("129")'
    assert reply.headers["content-disposition"] == 'attachment; filename="predictions.csv"'
    assert (await browser.get("/ui/predictions.csv?status=faild")).status == 422


async def test_views_are_kept_by_the_browser(world: World, browser: Browser) -> None:
    saved = await browser.post("/ui/predictions/views", {"name": "  my  <view>", "query": "status=failed&x=1&tag=a b"})
    assert saved.headers["location"] == "/ui/predictions?status=failed&tag=a+b"
    page = (await browser.get("/ui/predictions?status=failed&tag=a+b")).body.decode()
    assert re.search(r'aria-current="page" dir="auto">my &lt;view&gt;</a>', page)
    assert b"my &lt;view" not in (await (await Browser(world).signed_in(world.token)).get("/ui/predictions")).body
    await browser.post("/ui/predictions/views/delete", {"name": "my <view>"})
    assert b"my &lt;view" not in (await browser.get("/ui/predictions")).body
    refused = await browser.post("/ui/predictions/views", {"name": " ", "query": "status=failed"})
    assert refused.status == 303
    assert b"needs a name" in (await browser.get("/ui/predictions")).body


async def test_a_filter_is_handed_to_an_action_on_all_that_fit(world: World, browser: Browser) -> None:
    ids = [await failed(world, "x") for _ in range(3)]
    page = (await browser.get("/ui/predictions?status=failed&since=24h")).body.decode()
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.partition('id="bulk"')[2])
    members = dict(hidden[:2])
    assert members["status"] == "failed"
    assert "created_after" in members
    assert [one in page for one in ids] == [True] * 3
    assert len(re.findall(r'name="prediction" value="\w{26}" form="bulk"', page)) == 3
    asked = await browser.get(f"/ui/bulk/new?{urlencode({**members, 'action': 'rerun'})}")
    assert asked.status == 200
    assert b"3 predictions" in asked.body
    reader, _ = await world.keys.issue("alice", "reader", frozenset({Scope.READ}))
    assert b'form="bulk"' not in (await (await Browser(world).signed_in(reader)).get("/ui/predictions")).body


async def test_the_title_of_a_group_is_the_line_that_says_most(world: World, browser: Browser) -> None:
    """Libraries append advice and empty lines to their errors; a traceback begins with where it was."""
    await failed(world, "CUDA error: out of memory\nFor debugging consider this.\n\n")
    await failed(world, 'Traceback (most recent call last):\n  File "a.py"\nKeyError: b\n')
    await failed(world, "\n \n")
    page = (await browser.get("/ui/errors")).body.decode()
    titles = re.findall(r'href="/ui/predictions\?group=[^"]*"[^>]*>([^<]*)</a>', page)
    assert sorted(titles) == ["(no message)", "CUDA error: out of memory", "KeyError: b"]


async def test_errors_are_grouped_and_counted(world: World, browser: Browser) -> None:
    ids = [await failed(world, f"no file {n}") for n in range(3)]
    await failed(world, "out of memory")
    page = (await browser.get("/ui/errors")).body.decode()
    assert "4 failed" in page
    link = re.search(r'href="(/ui/predictions\?group=[^"]*)"[^>]*>no file 2<', page)
    assert link
    assert listed((await browser.get(link[1].replace("&amp;", "&"))).body) == ids[::-1]
    assert page.index("no file 2") < page.index("out of memory")
    assert " style=" not in page
    assert '<td class="num">4</td>' in page  # the table beside the chart
    assert "Nothing failed" in (await browser.get("/ui/errors?model=acme/free")).body.decode()
    wrong = await browser.get("/ui/errors?since=soon")
    assert wrong.status == 422
    assert b"must be in the past" in wrong.body


@pytest.mark.parametrize(
    ("line", "members"),
    [
        ("", {}),
        ("status:failed", {"status": "failed"}),
        ("model:demo/* since:2h", {"model": "demo/*", "since": "2h"}),
        ("out of memory", {"error": "out of memory"}),
        ('error:"out of" memory', {"error": "out of memory"}),
        ('tag:"night run" before:2026-01-01', {"tag": "night run", "created_before": "2026-01-01"}),
        ("http://x:1 KeyError:", {"error": "http://x:1 KeyError:"}),
        ('tag:"open', {"tag": "open"}),
        ("status:failed status:canceled", {"status": "canceled"}),
    ],
)
def test_a_line_says_which_predictions(line: str, members: dict[str, str]) -> None:
    assert read_line(line) == members


WORD = st.text(alphabet=st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1, max_size=9)


@given(st.dictionaries(st.sampled_from(["status", "model", "error", "tag", "created_after"]), WORD))
def test_a_line_comes_back_from_its_members(members: dict[str, str]) -> None:
    assert read_line(write_line(members)) == members
    assert read_line(f"{write_line(members)} since:1h") == members | {"since": "1h"}


def test_views_fit_into_a_cookie() -> None:
    views: list[SavedView] = []
    for number in range(30):
        views = with_view(views, f"ü{number}" * 20, "error=" + "ü" * 100)
    assert len(views) == MOST_VIEWS
    kept = read_views(write_views(views))
    assert kept
    assert kept == views[-len(kept) :]
    assert len(write_views(views)) <= 3800
    assert read_views("") == read_views("%%%") == read_views("AAAA") == []
    assert write_views([]) == ""
    assert without_view(views, views[0].name) == views[1:]
    assert with_view([], "x", "") == []


def test_a_chart_has_a_bar_for_each_count() -> None:
    chart = chart_of([0, 1, 500], "2026-01-31T11:00:00.000000Z", 3600)
    assert [bar.height for bar in chart.bars] == [0, 2, 70]
    assert (chart.most, chart.total, len(chart.counted)) == (500, 501, 2)
    assert chart.bars[2].starts_at == "2026-01-31T13:00:00.000000Z"
    assert all(bar.y + bar.height == chart.height for bar in chart.counted)
    assert chart_of([], "2026-01-31T11:00:00Z", 60).bars == ()
    assert sum_of([[1, 2], [3, 4]]) == [4, 6]


async def test_errors_say_since_when_they_are_counted(
    world: World, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "MOST_FAILURES", 2)
    await failed(world, "old", model="acme/free")
    world.clock.advance(600)
    since = (await world.get(f"/v1/predictions/{await failed(world, 'newer')}")).json()["created_at"]
    world.clock.advance(600)
    await failed(world, "newest")
    report = (await world.get("/v1/errors")).json()
    assert (report["is_complete"], report["looked_at"], report["since"][:19]) == (False, 2, since[:19])
    said = f"since {since[:19].replace('T', ' ')} UTC: the newest 2 failed or aborted predictions"
    assert said in (await browser.get("/ui/errors")).body.decode()
    page = (await browser.get("/ui/errors?model=acme/free")).body.decode()
    assert f"{said} of all models." in page
    assert "Nothing failed" not in page
