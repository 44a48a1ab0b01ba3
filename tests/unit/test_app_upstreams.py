"""What is made of providers and routes at a start and at a reload, and what is refused before that."""

import asyncio
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from halley.app.foundation import Foundation
from halley.app.upstream_reachability import link_base, sends_webhooks
from halley.app.upstreams import Upstreams, check_upstreams, read_token
from halley.assets.links import LinkSigner
from halley.cli.main import run_command
from halley.clock import SystemClock
from halley.dispatch.upstreams import UpstreamProvider, UpstreamTarget
from halley.errors import ProviderBusy, Unusable
from halley.models.catalog import Catalog
from halley.providers.local import LocalProvider
from halley.settings import (
    HttpJobSettings,
    ProviderSettings,
    ReplicateSettings,
    RouteSettings,
    ServerSettings,
    Settings,
)
from halley.store.memory import MemoryStore
from halley.testing.http_jobs import PREDICTIONS
from halley.testing.providers import work_of
from halley.testing.replicate.scripts import wait
from halley.testing.replicate.server import serve
from halley.testing.replicate.service import TOKEN, FakeService

URL = "http://127.0.0.1:9/v1"


def settings(tmp_path: Path, provider: ProviderSettings, **route: object) -> Settings:
    routes = {"acme/*": RouteSettings(providers=("back",), **route)}  # type: ignore[arg-type]
    return Settings(data=tmp_path, providers={"back": provider}, routes=routes)


def test_a_token_comes_from_a_variable_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("canary\n")
    assert read_token("back", ReplicateSettings(kind="replicate", url=URL), {}) is None
    by_name = ReplicateSettings(kind="replicate", url=URL, token_env="BACK_TOKEN")
    assert read_token("back", by_name, {"BACK_TOKEN": "canary"}) == "canary"
    assert (
        read_token("back", ReplicateSettings(kind="replicate", url=URL, token_file=tmp_path / "token"), {}) == "canary"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("canary\u00e9", "characters"),
        ("canary\r\nX-Other: 1", "characters"),
        (None, "cannot be read"),
    ],
)
def test_a_token_that_cannot_be_used_is_refused_and_not_shown(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "token"
    if text is not None:
        path.write_bytes(text.encode())
    with pytest.raises(Unusable, match=words) as refused:
        read_token("back", ReplicateSettings(kind="replicate", url=URL, token_file=path), {})
    assert "providers.back" in str(refused.value)
    assert "canary" not in str(refused.value)


def test_what_a_start_needs_is_checked_without_asking_a_service(tmp_path: Path) -> None:
    check_upstreams(settings(tmp_path, ReplicateSettings(kind="replicate", url=URL)), {})
    missing = ReplicateSettings(kind="replicate", url=URL, token_env="BACK_TOKEN")
    with pytest.raises(Unusable, match=r"providers\.back\.token_env.*BACK_TOKEN is not set"):
        check_upstreams(settings(tmp_path, missing), {})
    odd = ReplicateSettings(kind="replicate", url="http://127.1.1.1.1/v1")
    with pytest.raises(Unusable, match=r"providers\.back\.url"):
        check_upstreams(settings(tmp_path, odd), {})
    provider = ReplicateSettings(kind="replicate", url=URL)
    with pytest.raises(Unusable, match=r"routes\.acme/\*\.schema.*cannot be read"):
        check_upstreams(settings(tmp_path, provider, schema=tmp_path / "none.json"), {})


@pytest.mark.anyio
async def test_runs_of_a_former_provider_are_followed_with_the_new_token_at_the_same_address(tmp_path: Path) -> None:
    path = tmp_path / "token"

    def provider(url: str, **more: object) -> Settings:
        return settings(tmp_path, ReplicateSettings(kind="replicate", url=url, token_file=path, **more))  # type: ignore[arg-type]

    async def sent(upstream: UpstreamProvider, service: FakeService) -> str:
        with suppress(ProviderBusy):
            await upstream.find_model(UpstreamTarget(model="a/b"))
        return service.asked[-1].headers["authorization"]

    service, other = FakeService({}), FakeService({})
    async with serve(service) as here, serve(other) as there:
        upstreams = bare_upstreams()
        tokens, places = iter("abc"), []
        for given in (provider(here.url), provider(here.url, timeout_seconds=61.0), provider(there.url)):
            path.write_text(token := next(tokens))
            upstreams.apply(given)
            if token == "a":
                first = upstreams.routed.places["back"].upstream
            assert await sent(upstreams.routed.places["back"].upstream, other if token == "c" else service)
            assert await sent(first, service) == f"Bearer {'a' if token == 'a' else 'b'}"
            places.append((first.place, upstreams.routed.places["back"].upstream.place))
        assert other.asked[-1].headers["authorization"] == "Bearer c"
        (old, also_old), (new, also_new), (still_new, elsewhere) = places
        assert (old, new, new) == (also_old, also_new, still_new)
        assert len({old, new, elsewhere}) == 3, "another address or token is another place"
        addresses = [place.partition(".")[0] for place in (old, new, elsewhere)]
        assert addresses[0] == addresses[1] != addresses[2], "an address is known again with another token"
        await upstreams.close()


@pytest.mark.parametrize(
    ("name", "model", "words"),
    [
        ("test/echo", None, None),
        ("test/*", None, None),
        ("acme/echo", "test/{name}", None),
        ("acme/*", "test/{name}", None),
        ("acme/echo", None, "back has no model acme/echo; the models of its file are: test/echo, "),
        ("acme/*", None, r"back has no model acme/\*"),
    ],
)
def test_a_route_names_a_model_that_the_job_file_has(
    tmp_path: Path, name: str, model: str | None, words: str | None
) -> None:
    path = tmp_path / "job.toml"
    path.write_text(PREDICTIONS)
    route = RouteSettings(providers=("back",), model=model)
    provider = HttpJobSettings(kind="http-job", url=URL, file=path)
    given = Settings(data=tmp_path, providers={"back": provider}, routes={name: route})
    if words is None:
        check_upstreams(given, {})
        return
    with pytest.raises(Unusable, match=words):
        check_upstreams(given, {})


@pytest.mark.anyio
async def test_a_job_file_that_changes_makes_another_provider_and_a_wrong_one_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    given = settings(tmp_path, HttpJobSettings(kind="http-job", url=URL, file=path), model="test/{name}")
    upstreams = bare_upstreams()
    made = []
    for text in (PREDICTIONS, f"{PREDICTIONS}\n# a comment", PREDICTIONS.replace('"succeeded"]', '"done"]')):
        path.write_text(text)
        upstreams.apply(given)
        made.append(upstreams.routed.places["back"].upstream)
    assert made[0] is made[1]
    assert made[1] is not made[2]
    assert upstreams.routed.former["back"] is made[1]
    path.write_text(PREDICTIONS.replace("[poll]", "[pol]"))
    with pytest.raises(Unusable, match=r"providers\.back\.file: .*job\.toml: pol: there is no such member"):
        upstreams.apply(given)
    assert upstreams.routed.places["back"].upstream is made[2]
    await upstreams.close()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("routes", "names"),
    [
        ({"test/*": RouteSettings(providers=("back",))}, {"test/echo", "test/stream", "test/fail", "test/wait"}),
        ({"acme/echo": RouteSettings(providers=("local", "back"), model="test/echo")}, {"acme/echo"}),
        ({"acme/*": RouteSettings(providers=("back",), model="test/{name}")}, set()),  # any number of names
        ({"test/echo": RouteSettings(providers=("back", "other"))}, set()),  # the other one would have to be asked
    ],
)
async def test_models_that_a_job_file_names_are_listed_before_their_first_run(
    tmp_path: Path, routes: dict[str, RouteSettings], names: set[str]
) -> None:
    path = tmp_path / "job.toml"
    path.write_text(PREDICTIONS)
    providers: dict[str, ProviderSettings] = {
        "back": HttpJobSettings(kind="http-job", url=URL, file=path),
        "other": ReplicateSettings(kind="replicate", url=URL),
    }
    upstreams = bare_upstreams()
    upstreams.apply(Settings(data=tmp_path, providers=providers, routes=routes))
    await upstreams.list_offered()
    assert set(upstreams._base.catalog.names()) == names
    await upstreams.close()


@pytest.mark.anyio
async def test_what_was_replaced_and_follows_nothing_is_closed(tmp_path: Path) -> None:
    service, path = FakeService({"a/b": wait}), tmp_path / "token"
    path.write_text(TOKEN)
    async with serve(service) as server:
        upstreams = bare_upstreams()
        held = None
        for seconds in range(60, 66):
            provider = ReplicateSettings(
                kind="replicate", url=server.url, token_file=path, timeout_seconds=float(seconds)
            )
            upstreams.apply(settings(tmp_path, provider))
            upstream = upstreams.routed.places["back"].upstream
            with suppress(ProviderBusy):
                await upstream.find_model(UpstreamTarget(model="a/b"))  # keeps a connection
            if seconds == 61:
                held = upstream
                work = msgspec.structs.replace(work_of("v", "a", "p1"), has_slot=False)
                assert await upstream.adopt(work, service.begin("a/b", {}).id)
        await asyncio.gather(*upstreams._closing)
        assert [before.place.upstream for _, before in upstreams._gone][:-1] == [held]  # it follows a run
        await upstreams.close()


def bare_upstreams() -> Upstreams:
    """Without a store and a machine of its own."""
    clock = SystemClock()
    catalog = Catalog(MemoryStore(clock=clock))
    data = SimpleNamespace(store=MemoryStore(clock=clock), links=LinkSigner(b"k" * 32, clock))
    base = SimpleNamespace(catalog=catalog, clock=clock, data=data, settings=Settings(data=Path("/nowhere")))
    return Upstreams(cast("Foundation", base), {}, cast("LocalProvider", None))


def test_validate_names_a_missing_variable_and_warns_of_an_unreachable_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    (tmp_path / "halley.toml").write_text(
        f'[providers.back]\nkind = "replicate"\nurl = "{URL}"\ntoken_env = "UP_CANARY_KEY"\n'
    )
    assert run_command(["config", "validate"]) == 2
    assert "UP_CANARY_KEY is not set" in capsys.readouterr().err
    monkeypatch.setenv("UP_CANARY_KEY", "canary")
    assert run_command(["config", "validate"]) == 0
    said = capsys.readouterr().err
    assert "warning: providers.back.url: 127.0.0.1, port 9, cannot be reached" in said
    assert "canary" not in said


@pytest.mark.parametrize(
    ("public_url", "url", "webhooks", "sends", "links"),
    [
        (None, "https://api.example.com/v1", None, False, None),
        ("https://halley.example.com/x/", "https://api.example.com/v1", None, True, "https://halley.example.com/x"),
        ("https://halley.example.com", "http://10.0.0.5/v1", None, True, "https://halley.example.com"),
        ("https://halley.example.com", "https://api.example.com/v1", False, False, "https://halley.example.com"),
        ("http://halley.example.com", "https://api.example.com/v1", None, False, "http://halley.example.com"),
        ("http://halley.example.com", "https://api.example.com/v1", True, True, "http://halley.example.com"),
        ("http://127.0.0.1:1986", "http://localhost:2000/v1", None, True, None),
        ("https://localhost:1986", "https://api.example.com/v1", None, False, None),
    ],
)
def test_a_service_sends_webhooks_if_it_can_be_expected_to_reach_this_server(
    tmp_path: Path, public_url: str | None, url: str, webhooks: bool | None, sends: bool, links: str | None
) -> None:
    provider = ReplicateSettings(kind="replicate", url=url, webhooks=webhooks)
    given = Settings(data=tmp_path, server=ServerSettings(public_url=public_url), providers={"back": provider})
    assert (sends_webhooks(given, provider), link_base(given, provider)) == (sends, links)
    check_upstreams(given, {})


@pytest.mark.parametrize("member", ["webhooks", "input_links"])
def test_what_needs_a_public_url_is_refused_without(tmp_path: Path, member: str) -> None:
    provider = ReplicateSettings(kind="replicate", url=URL, **{member: True})  # type: ignore[arg-type]
    with pytest.raises(Unusable, match=rf"providers\.back\.{member} needs server\.public_url"):
        check_upstreams(settings(tmp_path, provider), {})
