"""The examples of the manual, run as a reader would: one page after another, from top to bottom, in one folder.

`sh` blocks go to a shell, `python` and `js` blocks to the official clients, `python file=NAME` blocks into that file.
`console` blocks show what cannot be run here (another server, a server that stays) and are left out.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from process import Halley

from docs.pages import DOCS, ROOT, blocks, name_of
from needs import require

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

PAGES = [
    ROOT / "README.md",
    DOCS / "start/first-picture.md",
    DOCS / "start/own-model.md",
    DOCS / "how-to/official-clients.md",
    DOCS / "how-to/keys.md",
    DOCS / "how-to/configure.md",
    DOCS / "how-to/follow-a-prediction-elsewhere.md",
    DOCS / "how-to/save-outputs.md",
    DOCS / "how-to/other-libraries.md",
    DOCS / "how-to/retries.md",
    DOCS / "how-to/follow-live.md",
    DOCS / "how-to/webhooks.md",
    DOCS / "how-to/find-predictions.md",
    DOCS / "how-to/compare-runs.md",
]
PYTHON = ROOT / ".clients/py1/bin/python"
JAVASCRIPT = ROOT / "tests/e2e/js"
LEFT_BEHIND = {
    "README.md": {"desert.webp", "forest.webp", "greeter"},
    "docs/start/first-picture.md": {"lighthouse.webp", "large.png"},
    "docs/start/own-model.md": {"greeter", "letters"},
    "docs/how-to/follow-a-prediction-elsewhere.md": {"comet"},
    "docs/how-to/save-outputs.md": {"hills.webp", "hills", "green-0.webp"},
    "docs/how-to/webhooks.md": {"receiver.py"},
    "docs/how-to/compare-runs.md": {"lake.png", "lake-with-input.png"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    with Halley(tmp_path_factory.mktemp("halley")) as running:
        yield running


def script_of(page: Path) -> str:
    """The page as one shell script."""
    steps = ["set -euo pipefail"]
    for language, rest, text in blocks(page):
        if language == "sh":
            steps.append(text)
        elif language == "python" and rest.startswith("file="):
            steps.append(f"cat > {rest.removeprefix('file=')} <<'END-OF-BLOCK'\n{text}END-OF-BLOCK")
        elif language == "python":
            steps.append(f"python - <<'END-OF-BLOCK'\n{text}END-OF-BLOCK")
        elif language == "js":
            steps.append(f"(cd '{JAVASCRIPT}' && node --input-type=module) <<'END-OF-BLOCK'\n{text}END-OF-BLOCK")
    return "\n".join(steps)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_examples_run(page: Path, server: Halley, tmp_path: Path) -> None:
    script = script_of(page)
    require(PYTHON.exists(), "the Python client: scripts/install py1")
    require("node " not in script or (JAVASCRIPT / "node_modules/replicate").exists(),
            "the JavaScript client: scripts/install js")  # fmt: skip
    require("curl " not in script or shutil.which("curl"), "curl: scripts/install tools")
    commands, folder = tmp_path / "bin", tmp_path / "reader"
    commands.mkdir()
    folder.mkdir()
    for name, command in {"halley": f"{sys.executable} -m halley.cli.main", "python": str(PYTHON)}.items():
        (commands / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (commands / name).chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={
            "PATH": f"{commands}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
            "HALLEY_SERVER": server.url,
            "HALLEY_TOKEN": server.key,
        },
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{server.log()}"
    left = {path.name for path in folder.iterdir()}
    assert LEFT_BEHIND.get(name_of(page), set()) <= left
    assert all(path.stat().st_size > 0 for path in folder.iterdir())
