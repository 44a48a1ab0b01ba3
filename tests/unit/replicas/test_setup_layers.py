"""What setups left: named by one link, cleared, swept."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from halley.replicas.setup_layers import SetupLayers

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def layers(tmp_path: Path) -> SetupLayers:
    return SetupLayers(tmp_path / "setup", limit_bytes=1000)


def publish(layers: SetupLayers, version: str, text: str = "12345") -> Path:
    layer = layers.folder / f"{version}.aaaaaaaa"
    (layer / "files").mkdir(parents=True)
    (layer / "files" / "model.bin").write_text(text)
    (layers.folder / version).symlink_to(layer.name)
    return layer


def test_a_runner_gets_the_path_to_publish_and_the_existing_layer(layers: SetupLayers) -> None:
    assert not layers.is_kept("v")
    told = {"publish": str(layers.folder / "v"), "limit_bytes": 1000}
    assert layers.wanted("v") == told
    layer = publish(layers, "v")
    assert layers.is_kept("v")
    assert layers.wanted("v") == told | {"layer": str(layer)}


def test_clearing_removes_the_link_and_deletes_unused_files(layers: SetupLayers) -> None:
    layer = publish(layers, "v")
    assert layers.clear("v", in_use=True) == 5
    assert not layers.is_kept("v")
    assert layer.exists()
    assert layers.clear("v", in_use=False) is None
    layer = publish(layers, "w")
    assert layers.clear("w", in_use=False) == 5
    assert not layer.exists()


def test_a_sweep_deletes_what_no_link_names_and_is_not_young(layers: SetupLayers) -> None:
    layers.sweep(NOW)
    kept = publish(layers, "v")
    (layers.folder / "gone").symlink_to("gone.aaaaaaaa")
    for name, age in (("cut.aaaaaaaa", timedelta(hours=1)), ("young.aaaaaaaa", timedelta(seconds=1))):
        (layers.folder / name).mkdir()
        at = (NOW - age).timestamp()
        os.utime(layers.folder / name, (at, at))
    layers.sweep(NOW)
    assert sorted(path.name for path in layers.folder.iterdir()) == ["v", kept.name, "young.aaaaaaaa"]


def test_where_others_may_use_it_a_cleared_layer_is_not_deleted(tmp_path: Path) -> None:
    layers = SetupLayers(tmp_path / "setup", limit_bytes=1000, is_shared=True)
    layer = publish(layers, "v")
    assert layers.clear("v", in_use=False) == 5
    assert not layers.is_kept("v")
    assert layer.is_dir()
