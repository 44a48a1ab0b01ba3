"""`GET /v1/settings`: what this server uses, where it comes from, and no secret."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from api.world import World
from halley import __version__
from halley.keys.records import Scope
from halley.settings import MASK, Settings, read_settings, reloaded, shown

pytestmark = pytest.mark.anyio
ADMIN_KEY = "an-admin-key-of-the-operator-0123456789"


async def admin(world: World) -> str:
    token, _ = await world.keys.issue("root", "admin", frozenset({Scope.ADMIN}))
    return token


async def test_every_setting_is_given_with_its_origin_and_no_secret(world: World, tmp_path: Path) -> None:
    file = tmp_path / "halley.toml"
    file.write_text('[limits]\njson_depth = 32\n[models."acme/up"]\npath = "up"\n')
    environ = {"HALLEY_ADMIN_KEY": ADMIN_KEY, "HALLEY_DATA": str(tmp_path)}
    settings = read_settings(environ, config=file, flags={"server.port": 1999}, user_file=tmp_path / "none.toml")
    world.api.parts.shown_settings = settings
    answer = await world.get("/v1/settings", token=await admin(world))
    rows = {row["name"]: (row["value"], row["origin"]) for row in answer.json()["settings"]}
    assert rows == {name: (value, origin) for name, value, origin in shown(settings)}
    assert rows["admin_key"] == (MASK, "HALLEY_ADMIN_KEY")
    assert rows["limits.json_depth"] == ("32", f"{file}, limits.json_depth")
    assert rows["models.acme/up.preload"] == ("false", "default")
    assert ADMIN_KEY.encode() not in answer.body


async def test_version_start_room_and_health_are_beside_them(world: World, tmp_path: Path) -> None:
    token = await admin(world)
    first = (await world.get("/v1/settings", token=token)).json()
    assert (first["version"], first["data"]) == (
        __version__,
        {"folder": "/nowhere", "free_bytes": None, "total_bytes": None},
    )
    assert first["health"] == {**first["health"], "status": "ready", "reasons": {}}
    assert first["health"]["checks"]["store"] == "ok"
    world.reasons["queue"] = "it is full"
    world.api.parts.shown_settings = replace(world.settings, data=tmp_path)
    second = await world.get("/v1/settings", token=token)
    assert (second.status, second.json()["health"]["checks"]["queue"]) == (200, "it is full")
    assert 0 < second.json()["data"]["free_bytes"] <= second.json()["data"]["total_bytes"]


def test_only_providers_and_routes_change_when_they_are_read_again(tmp_path: Path) -> None:
    def read(text: str) -> Settings:
        file = tmp_path / "halley.toml"
        file.write_text(text)
        return read_settings({}, config=file, flags={}, user_file=tmp_path / "none.toml")

    before = read('[limits]\njson_depth = 32\n[providers.old]\nkind = "replicate"\nurl = "https://a.example/v1"\n')
    after = reloaded(before, read('[providers.new]\nkind = "replicate"\nurl = "https://b.example/v1"\n'))
    rows = {name: origin for name, _, origin in shown(after)}
    assert rows["limits.json_depth"] != "default"
    assert "providers.old.url" not in rows
    assert rows["providers.new.url"] != "default"
