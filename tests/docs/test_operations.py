"""What pages tell operators and programmers to set up: variables, a receiver, a unit, backups."""

import configparser
import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from PIL import Image
from process import Halley, free_port

from docs.pages import DOCS, PAGES, ROOT, blocks, name_of
from needs import require

PRODUCTION: Final = DOCS / "how-to/run-in-production.md"
EXAMPLES: Final = sorted((ROOT / "examples").rglob("*.md"))
BY_ENV: Final = {"REPLICATE_BASE_URL", "REPLICATE_API_TOKEN", "REPLICATE_API_BASE_URL"}
GIVEN: Final = {"PATH", "HOME", "PWD", "MAINPID"}
PYTHON: Final = ROOT / ".clients/py1/bin/python"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_sets_the_variables_that_its_commands_use(page: Path) -> None:
    shell = "\n".join(text for language, _, text in blocks(page) if language == "sh")
    known = set(re.findall(r"^\s*(?:export )?(\w+)=", shell, re.MULTILINE)) | set(re.findall(r"\bfor (\w+) in", shell))
    if "halley env" in shell:
        known |= BY_ENV
    assert set(re.findall(r"\$\{?([A-Za-z_]\w*)", shell)) <= known | GIVEN


@pytest.mark.parametrize("page", EXAMPLES, ids=name_of)
def test_the_files_that_an_example_sends_are_there(page: Path) -> None:
    shell = "\n".join(text for language, _, text in blocks(page) if language == "sh")
    made = set(re.findall(r"> ?(\S+)", shell))
    missing = [name for name in re.findall(r"=@(\S+)", shell) if name not in made and not (ROOT / name).is_file()]
    assert missing == []


def test_the_picture_of_a_seven_is_small_and_has_one() -> None:
    path = ROOT / "examples/digits/seven.png"
    with Image.open(path) as picture:
        darkest, lightest = picture.convert("L").getextrema()
        assert lightest - darkest > 200
    assert path.stat().st_size < 5000


def block(page: Path, language: str, start: str = "") -> str:
    return next(text for kind, _, text in blocks(page) if kind == language and start in text)


def test_the_unit_can_be_installed() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block(PRODUCTION, "ini"))
    assert unit["Install"]["WantedBy"] == "multi-user.target"
    service = unit["Service"]
    assert service["User"] not in {"", "root"}
    steps = "\n".join(text for kind, _, text in blocks(PRODUCTION) if kind == "console")
    for step in (f"useradd --system --home-dir /srv/halley --shell /usr/sbin/nologin {service['User']}",
                 "systemctl enable --now halley", f"install -d -o {service['User']}", "scripts/install runtime",
                 "systemctl stop halley"):  # fmt: skip
        assert step in steps
    assert service["WorkingDirectory"] in steps
    assert service["ExecStart"].split()[0] in steps


def test_the_nginx_example_forwards_how_it_was_reached() -> None:
    snippet = block(PRODUCTION, "nginx")
    for header in ("Host $host", "X-Forwarded-Host $host", "X-Forwarded-Proto $scheme"):
        assert f"proxy_set_header {header};" in snippet


def test_backups_can_be_read_by_their_owner_only(tmp_path: Path) -> None:
    """The commands of the page, on a folder of ours, by a shell that lets everybody read what it makes."""
    data, backup, commands = tmp_path / "data", tmp_path / "backup", tmp_path / "bin"
    (data / "blobs" / "ab").mkdir(parents=True)
    commands.mkdir()
    with closing(sqlite3.connect(data / "halley.db")) as database:
        database.execute("CREATE TABLE t (x)")
    for name in ("secrets.json", "blobs/ab/abc"):
        (data / name).write_text("{}")
        (data / name).chmod(0o600)
    tool = commands / "sqlite3"  # as little of it as the page uses
    tool.write_text(
        f"#!{sys.executable}\nimport re, sqlite3, sys\nto = re.fullmatch(r\".backup '(.*)'\", sys.argv[2])[1]\n"
        "sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(to))\n"
    )
    tool.chmod(0o755)
    text = block(PRODUCTION, "console", ".backup").replace("/srv/halley", str(data)).replace("/backup", str(backup))
    text = text.replace(f".{backup}", ".backup").replace(f"{tmp_path}.backup", ".backup")
    script = "umask 022\nset -e\n" + re.sub(r"^[#$] ", "", text, flags=re.MULTILINE)
    environ = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", script], env=environ, check=True, cwd=tmp_path)
    made = [path for path in backup.rglob("*") if path.is_file()]
    assert sorted(path.name for path in made) == ["abc", "halley.db", "secrets.json"]
    assert [path for path in made if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_the_pages_say_what_admin_sees_and_that_visibility_does_nothing() -> None:
    keys = (DOCS / "how-to/keys.md").read_text()
    assert "the holder of an admin key can reach the data of every account" in " ".join(keys.split())
    settings = (DOCS / "reference/settings.md").read_text()
    line = next(line for line in settings.splitlines() if line.startswith("| `visibility`"))
    assert "the API reports `public` for all models" in line


@pytest.mark.e2e
def test_the_receiver_of_the_page_takes_what_is_genuine_and_nothing_else(tmp_path: Path) -> None:
    require(PYTHON.exists(), "the Python client: scripts/install py1")
    port = free_port()
    text = next(text for _, rest, text in blocks(DOCS / "how-to/webhooks.md") if rest == "file=receiver.py")
    (tmp_path / "receiver.py").write_text(text.replace("8000", str(port)))
    with Halley(tmp_path) as server:
        environ = {"PATH": os.environ["PATH"], "REPLICATE_BASE_URL": server.url, "REPLICATE_API_TOKEN": server.key}
        receiver = subprocess.Popen(
            [str(PYTHON), str(tmp_path / "receiver.py")], env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            body = {"input": {"prompt": "x"}, "webhook": f"http://127.0.0.1:{port}/hook",
                    "webhook_events_filter": ["completed"]}  # fmt: skip
            made = server.call("POST", "/v1/models/demo/text/predictions", body)[
                2
            ]  # tried again until somebody listens
            assert receiver.stdout is not None
            assert receiver.stdout.readline().decode().split() == [made["id"], "succeeded"]
            forged = urllib.request.Request(
                f"http://127.0.0.1:{port}/hook",
                data=json.dumps({"id": "x", "status": "succeeded"}).encode(),
                headers={"webhook-id": "msg_1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"},
            )
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(forged, timeout=120)
            assert refused.value.code == 401
            refused.value.close()
        finally:
            receiver.kill()
            receiver.communicate(timeout=120)
