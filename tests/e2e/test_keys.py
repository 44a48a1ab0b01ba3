"""Admin keys across starts: the first one, configured ones, and where they are written down."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from process import Halley

pytestmark = pytest.mark.e2e

FIRST = "first-configured-admin-key-0123456789"
SECOND = "second-configured-admin-key-0123456789"
THIRD = "third-configured-admin-key-0123456789"


def start(home: Path, **environment: str) -> Halley:
    server = Halley(home, "--no-demo", environment=environment)
    if "HALLEY_ADMIN_KEY" not in environment:
        del server._environment["HALLEY_ADMIN_KEY"]
    return server


def status(server: Halley, key: str) -> int:
    return server.call("GET", "/v1/keys", key=key)[0]


def key_id(server: Halley, key: str) -> str:
    _, _, page = server.call("GET", "/v1/keys", key=key)
    return next(str(row["id"]) for row in page["results"] if key.startswith(row["hint"].removesuffix("...")))


def test_the_first_admin_key_is_not_printed_into_a_log(tmp_path) -> None:
    with start(tmp_path) as server:
        kept = tmp_path / "config" / "halley" / "credentials.toml"
        end = time.monotonic() + 120
        while not kept.exists() and time.monotonic() < end:  # it is ready a moment before it says so
            time.sleep(0.02)
        assert kept.stat().st_mode & 0o777 == 0o600
        token = next(line.split('"')[1] for line in kept.read_text().splitlines() if line.startswith("token"))
        assert status(server, token) == 200
    assert token not in server.log()
    assert "hly_" not in server.log()
    assert str(kept) in server.log()


def test_a_configured_key_replaces_the_one_before_and_gets_one_back_in(tmp_path) -> None:
    with start(tmp_path, HALLEY_ADMIN_KEY=FIRST) as server:
        assert status(server, FIRST) == 200
    with start(tmp_path, HALLEY_ADMIN_KEY=SECOND) as server:
        assert [status(server, key) for key in (FIRST, SECOND)] == [401, 200]
        revoked, _, _ = server.call("DELETE", f"/v1/keys/{key_id(server, SECOND)}", key=SECOND)
        assert (revoked, status(server, SECOND)) == (204, 401)
    file = tmp_path / "admin-key"
    file.write_text(f"{SECOND}\n")
    with start(tmp_path, HALLEY_ADMIN_KEY_FILE=str(file)) as server:
        assert [status(server, key) for key in (FIRST, SECOND)] == [401, 200]
        file.write_text(f"{THIRD}\n")
        assert server.process is not None
        end = time.monotonic() + 120
        server.process.send_signal(signal.SIGHUP)
        while status(server, THIRD) != 200 and time.monotonic() < end:
            time.sleep(0.05)
        assert [status(server, key) for key in (FIRST, SECOND, THIRD)] == [401, 401, 200]
    assert not any(key in server.log() for key in (FIRST, SECOND, THIRD))


def command(halley: Halley, home: Path, *words: str, token: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "halley.cli.main", "keys", *words, "--server", halley.url],
        env={"HOME": str(home), "HALLEY_TOKEN": token or halley.key, "HALLEY_SERVER": halley.url},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command_makes_keys_that_begin_as_libraries_want_them(halley, tmp_path) -> None:
    done = command(halley, tmp_path, "create", "--prefix", "r8")
    token = done.stdout.strip()
    assert (done.returncode, token[:3], len(token)) == (0, "r8_", 40), done.stderr
    assert halley.call("GET", "/v1/account", key=token)[0] == 200
    shown = command(halley, tmp_path, "current", token=token)
    assert shown.returncode == 0, shown.stderr
    assert "scopes read write" in " ".join(shown.stdout.split())
    assert token not in shown.stdout
