"""Lists with filters, summaries, groups of errors and tags."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from api.world import Connection, CountingStore, World
from halley.api.waiting.hold import GONE_KEY, MAY_READ
from halley.predictions.filters import PredictionFilter
from halley.predictions.fingerprints import fingerprint
from halley.predictions.search import FoundPredictions, FoundRuns, SearchPart
from halley.predictions.status import Fact, Source
from halley.testing.stores.maker import on_duty

pytestmark = pytest.mark.anyio
ROOT = "http://localhost:1986"


class NarrowStore(CountingStore):
    """Looks at two rows for a page."""

    async def search(
        self, account_id: str, wanted: PredictionFilter, part: SearchPart, *, source: Source | None = None
    ) -> FoundPredictions:
        return await super().search(account_id, wanted, msgspec.structs.replace(part, most_rows=2), source=source)


class WatchedStore(CountingStore):
    """Notes whether the reader of a search has left, before it begins and after `while_reading`."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bool] = []
        self.while_reading: Callable[[], object] = list

    async def search(
        self, account_id: str, wanted: PredictionFilter, part: SearchPart, *, source: Source | None = None
    ) -> FoundPredictions:
        before = part.is_over()
        self.while_reading()
        self.seen += [before, part.is_over()]
        return await super().search(account_id, wanted, part, source=source)


async def failed(world: World, error: str, **more: Any) -> str:
    made = await world.create(**more)
    await world.start(made["id"])
    await world.finish(made["id"], Fact.FAILED, error=error)
    return str(made["id"])


async def found(world: World, **members: str) -> list[str]:
    reply = await world.get(f"/v1/predictions?{urlencode(members)}")
    assert reply.status == 200, reply.body
    return [item["id"] for item in reply.json()["results"]]


async def filled(world: World) -> dict[str, str]:
    """One prediction in each of some ways to end; by name."""
    ids = {"seven": await failed(world, "no file 7"), "nine": await failed(world, "No File 9")}
    ids["over"] = (await world.create())["id"]
    await world.run(ids["over"])
    ids["waits"] = (await world.create("acme/free"))["id"]
    ids["canceled"] = (await world.create())["id"]
    await world.post(f"/v1/predictions/{ids['canceled']}/cancel")
    ids["runs"] = (await world.create())["id"]
    await world.start(ids["runs"])
    return ids


async def test_a_list_has_what_fits(world: World) -> None:
    ids = await filled(world)

    async def names(**members: str) -> str:
        by_id = {one: name for name, one in ids.items()}
        return " ".join(by_id[one] for one in await found(world, **members))

    assert await names(status="failed") == "nine seven"
    assert await names(status="starting,processing") == "runs waits"
    assert await names(status="canceled") == "canceled"
    assert await names(model="acme/free") == "waits"
    assert await names(model="*/ech*", status="succeeded") == "over"
    assert await names(error="FILE 7") == "seven"
    assert await names(error="file") == "nine seven"
    assert await names(group=fingerprint("acme/echo", "no file 1")) == "seven"
    assert await names(provider="local", limit="2") == "runs canceled"
    assert await names(provider="elsewhere") == ""
    assert await names(status="") == "runs canceled waits over nine seven"


async def test_what_ended_before_it_ran_is_found_by_both_of_its_statuses(world: World) -> None:
    others = await filled(world)
    early = (await world.post("/v1/predictions", {"version": "acme/free"}, headers={"Cancel-After": "5"})).json()["id"]
    world.clock.advance(6)
    await world.store.expire(await on_duty(world.store), world.clock.now(), 1e6)
    assert await found(world, status="aborted") == [early]
    assert await found(world, status="canceled") == [early, others["canceled"]]
    real = {"X-Halley-Expose-Aborted": "1"}
    shown = [(await world.get(f"/v1/predictions?status={one}", headers=real)).json() for one in ("aborted", "canceled")]
    assert [[one["id"] for one in page["results"]] for page in shown] == [[early], [others["canceled"]]]


async def test_a_running_one_has_its_output_so_far(world: World) -> None:
    ids = await filled(world)
    await world.output(ids["runs"], "so far")
    (item,) = (await world.get("/v1/predictions?status=processing")).json()["results"]
    assert item["output"] == "so far"


async def test_only_the_callers_account_is_searched(world: World) -> None:
    await filled(world)
    other, _ = await world.keys.issue("eve", "k")
    for query in ("status=failed", "model=*", "error=file", "tag=x"):
        assert (await world.get(f"/v1/predictions?{query}", token=other)).json()["results"] == []
    assert (await world.get("/v1/errors", token=other)).json()["results"] == []
    summary = (await world.get("/v1/predictions/summary", token=other)).json()
    assert (summary["newest"], summary["waiting"], summary["running"]) == (0, 0, 0)


async def test_a_search_goes_on_after_rows_that_do_not_fit() -> None:
    world = await World(store=NarrowStore()).fill()
    wanted = [await failed(world, "x") if n in (2, 3, 9) else (await world.create())["id"] for n in range(12)]
    expected = [wanted[9], wanted[3], wanted[2]]
    url: str | None = f"{ROOT}/v1/predictions?status=failed&limit=10"
    there: list[str] = []
    pages = 0
    last = url
    while url is not None:
        last = url
        page = (await world.get(url.removeprefix(ROOT))).json()
        there += [item["id"] for item in page["results"]]
        url, pages = page["next"], pages + 1
        assert pages < 9
    assert there == expected
    assert pages == 6
    back: list[str] = []
    url = last
    for _ in range(20):
        page = (await world.get(url.removeprefix(ROOT))).json()
        back = [item["id"] for item in page["results"]] + back
        url = page["previous"]
        if url is None:
            break
    assert back == expected


async def test_a_list_of_one_source_looks_at_a_limited_number_too() -> None:
    world = await World(store=NarrowStore()).fill()
    for _ in range(3):
        await world.create()
    page = (await world.get("/v1/predictions?source=web")).json()
    assert page["results"] == []
    page = (await world.get(page["next"].removeprefix(ROOT))).json()
    assert (page["results"], page["next"]) == ([], None)


async def test_a_search_is_told_that_its_reader_has_left() -> None:
    store, connection = WatchedStore(), Connection()
    world = await World(store=store).fill()
    store.while_reading = connection.lose
    await world.request("GET", "/v1/predictions?status=failed", connection=connection)
    assert store.seen == [False, True]
    page, store.seen, store.while_reading = Connection(), [], list
    await failed(world, "x")
    page.scope[GONE_KEY] = MAY_READ
    reply = await world.request("GET", "/v1/predictions?status=failed", scope_extra=page.scope)
    assert store.seen == [True, True]
    assert len(reply.json()["results"]) == 1  # the answer is a whole one: the client may still read


async def test_a_link_to_the_next_page_keeps_the_filter(world: World) -> None:
    ids = await filled(world)
    page = (await world.get("/v1/predictions?error=file&limit=1&model=acme/*")).json()
    assert [item["id"] for item in page["results"]] == [ids["nine"]]
    page = (await world.get(page["next"].removeprefix(ROOT))).json()
    assert [item["id"] for item in page["results"]] == [ids["seven"]]
    assert page["next"] is None


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ("status=faild", "status", "did you mean failed?"),
        ("model=echo", "model", "*/echo*"),
        ("key=hly_x", "key", "the id of a key"),
        ("group=x", "group", "/v1/errors"),
        ("status=failed&created_after=soon", "created_after", "date and time"),
    ],
)
async def test_a_filter_that_cannot_be_read_is_named(world: World, query: str, field: str, said: str) -> None:
    reply = await world.get(f"/v1/predictions?{query}")
    assert reply.status == 422
    (fault,) = reply.json()["invalid_fields"]
    assert fault["field"] == field
    assert said in fault["description"]


async def test_tags_find_predictions_and_disturb_nobody(world: World) -> None:
    body = {"version": "acme/echo", "input": {"prompt": "x"}, "tags": ["night run", "b", "night run"]}
    made = await world.post("/v1/predictions", body)
    assert made.status == 201
    assert "tags" not in made.json()
    tagged = made.json()["id"]
    plain = (await world.create())["id"]
    assert await found(world, tag="night run") == [tagged]
    assert await found(world, tag="b", status="starting") == [tagged]
    assert await found(world, tag="b", status="failed") == []
    assert "tags" not in (await world.get(f"/v1/predictions/{tagged}")).json()
    page: Mapping[str, Any] = (await world.get("/v1/predictions?include=tags")).json()
    assert [(item["id"], item.get("tags"), "logs" in item) for item in page["results"]] == [
        (plain, None, False),
        (tagged, ["night run", "b"], False),
    ]
    page = (await world.get("/v1/predictions?include=tags,logs&tag=b")).json()
    assert (page["results"][0]["tags"], page["results"][0]["logs"]) == (["night run", "b"], "")
    assert (await world.get(f"/v1/predictions/{tagged}/tags")).json() == {"tags": ["night run", "b"]}
    assert (await world.get(f"/v1/predictions/{plain}/tags")).json() == {"tags": []}
    other, _ = await world.keys.issue("eve", "k")
    assert (await world.get(f"/v1/predictions/{tagged}/tags", token=other)).status == 404


@pytest.mark.parametrize("tags", ["x", [1], ["x"] * 17, [""], [" x"], ["x" * 65], ["a\nb"], {"a": 1}])
async def test_what_cannot_be_a_tag_is_refused(world: World, tags: object) -> None:
    reply = await world.post("/v1/predictions", {"version": "acme/echo", "input": {"prompt": "x"}, "tags": tags})
    assert reply.status == 422
    assert [fault["field"] for fault in reply.json()["invalid_fields"]] == ["tags"]
    assert await found(world) == []


async def test_a_summary_counts_the_queue_and_the_newest(world: World) -> None:
    await filled(world)
    summary = (await world.get("/v1/predictions/summary")).json()
    assert summary["statuses"] == {"starting": 1, "processing": 1, "succeeded": 1, "failed": 2, "canceled": 1}
    assert (summary["waiting"], summary["running"], summary["newest"], summary["is_more"]) == (1, 1, 6, False)
    assert summary["run_seconds"]["count"] == 1
    assert summary["wait_seconds"]["count"] == 4
    free = (await world.get("/v1/predictions/summary?model=acme/free")).json()
    assert (free["waiting"], free["running"], free["newest"], free["run_seconds"]) == (1, 0, 1, None)
    assert (await world.get("/v1/predictions/summary?model=free")).status == 422


async def test_a_summary_is_read_again_after_a_change_only(world: World) -> None:
    made = await world.create()
    asked: list[str | None] = []
    read = world.store.newest_runs

    async def noted(account_id: str, model: str | None, limit: int, **more: Any) -> FoundRuns:
        asked.append(model)
        return await read(account_id, model, limit, **more)

    world.store.newest_runs = noted  # type: ignore[method-assign]
    for _ in range(3):
        await world.get("/v1/predictions/summary")
    assert asked == [None]
    await world.get("/v1/predictions/summary?model=acme/*")
    await world.run(made["id"])
    assert (await world.get("/v1/predictions/summary")).json()["statuses"]["succeeded"] == 1
    assert asked == [None, "acme/*", None]


async def test_errors_come_in_groups(world: World) -> None:
    ids = await filled(world)
    another = await failed(world, "no file 8")
    await failed(world, "x" * 5000)
    report = (await world.get("/v1/errors")).json()
    group = report["results"][0]
    assert (group["count"], group["model"], group["error"], group["example"]) == (2, "acme/echo", "no file 8", another)
    assert sum(group["counts"]) == 2
    assert await found(world, group=group["group"]) == [another, ids["seven"]]
    assert (len(report["results"]), report["is_complete"], report["looked_at"]) == (3, True, 4)
    assert (await world.get("/v1/errors?model=acme/free&since=7d")).json()["results"] == []
    assert len((await world.get("/v1/errors?error=no+file&since=2000-01-01")).json()["results"]) == 2
    world.clock.advance(7200)
    assert (await world.get("/v1/errors?since=1h")).json()["results"] == []


@pytest.mark.parametrize("since", ["0001-01-01", "738000d", "1969-12-31T23:59:59Z"])
async def test_errors_are_asked_for_since_any_time(world: World, since: str) -> None:
    report = (await world.get(f"/v1/errors?since={since}")).json()
    assert report["since"] == "1970-01-01T00:00:00.000000Z"


@pytest.mark.parametrize("since", ["soon", "2999-01-01", "-1h"])
async def test_errors_are_of_the_past(world: World, since: str) -> None:
    reply = await world.get(f"/v1/errors?since={since}")
    assert reply.status == 422
    assert reply.json()["invalid_fields"][0]["field"] == "since"
