"""Links to output files that need a key beside them: who sends one by himself, and who does not."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from process import Case, Halley

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    home = tmp_path_factory.mktemp("halley")
    with Halley(home, "--tls", environment={"HALLEY_QUIRKS__OUTPUT_LINKS_NEED_KEY": "true"}) as server:
        yield server


def create(server: Halley, key: str, model: str, **given: Any) -> Any:
    status, _, made = server.call(
        "POST", f"/v1/models/demo/{model}/predictions", {"input": given}, key=key, headers={"Prefer": "wait=50"}
    )
    assert status == 201, made
    return made


@pytest.mark.parametrize(
    ("name", "fails_with"),
    [("py1", None), ("py2", "401"), ("js", "replicate/lib/stream.js")],  # the last one fails at telling that it failed
)
def test_which_official_clients_send_their_key_along(
    guarded: Halley, case_of: Callable[..., Case], name: str, fails_with: str | None
) -> None:
    trust = dict.fromkeys(("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"), str(guarded.authority))
    case = case_of(name, guarded.url, trust)
    if fails_with is None:
        file = case("large")
        assert file["url"].startswith(f"{guarded.url}/d/")
        assert file["size"] > 256_000
    else:
        with pytest.raises(AssertionError, match=fails_with):
            case("large")


def test_the_command_line_sends_its_key_along(guarded: Halley, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "halley.cli.main", "run", "demo/paint", "prompt=sea", "-o", "sea.png"],
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "SSL_CERT_FILE": str(guarded.authority),
            "HALLEY_SERVER": guarded.url,
            "HALLEY_TOKEN": guarded.account("two"),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "sea.png").stat().st_size > 1000


def test_a_link_is_an_input_for_its_own_account_only(guarded: Halley) -> None:
    mine, theirs = guarded.account("three"), guarded.account("four")
    (link,) = create(guarded, mine, "paint", prompt="sea", width=64, height=64)["output"]
    path = link.removeprefix(guarded.url)
    assert [guarded.call("GET", path, key=key)[0] for key in (mine, theirs, None)] == [200, 404, 401]
    assert create(guarded, mine, "upscale", image=link)["status"] == "succeeded"
    stolen = create(guarded, theirs, "upscale", image=link)
    assert stolen["status"] == "failed"
    assert "belongs to another account" in stolen["error"]
