"""`halley files` against the real server: up, listed, used, down again byte for byte, gone."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from process import Halley

pytestmark = pytest.mark.e2e


def _run(server: Halley, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "halley.cli.main", *words, "--server", server.url, "--token", server.key],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_file_is_uploaded_downloaded_and_deleted(halley: Halley, tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000
    (tmp_path / "grüße.bin").write_bytes(content)
    up = _run(halley, tmp_path, "files", "upload", "grüße.bin")
    assert up.returncode == 0, up.stderr
    url = up.stdout.strip()
    file_id = url.rpartition("/")[2]
    assert f"as {file_id}" in up.stderr

    listed = json.loads(_run(halley, tmp_path, "files", "list", "--json").stdout)
    (mine,) = [file for file in listed if file["id"] == file_id]
    assert (mine["name"], mine["size"]) == ("grüße.bin", len(content))
    assert mine["checksums"]["sha256"] == hashlib.sha256(content).hexdigest()

    again = _run(halley, tmp_path, "files", "download", url)
    assert again.returncode == 2
    assert "already exists" in again.stderr
    down = _run(halley, tmp_path, "files", "download", url, "-o", "sub/back.bin")
    assert down.returncode == 0, down.stderr
    assert (tmp_path / "sub" / "back.bin").read_bytes() == content
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["back.bin"]

    unsure = _run(halley, tmp_path, "files", "delete", file_id)
    assert unsure.returncode == 2
    gone = _run(halley, tmp_path, "files", "delete", file_id, "--yes")
    assert gone.returncode == 0, gone.stderr
    missing = _run(halley, tmp_path, "files", "download", file_id)
    assert missing.returncode == 7, missing.stderr


def test_a_missing_file_is_said_before_anything_is_sent(halley: Halley, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("x")
    said = _run(halley, tmp_path, "files", "upload", "there", "nowhere")
    assert said.returncode == 2
    assert "There is no file nowhere." in said.stderr
    assert said.stdout == ""
