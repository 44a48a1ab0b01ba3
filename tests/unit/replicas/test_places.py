"""In which way replicas are kept apart: where the server's own files lie decides nothing."""

import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

import pytest

from halley.replicas import places
from halley.replicas.places import choose_isolation
from halley.settings import IsolationSettings

ASK = """
import sys
from pathlib import Path
from halley.replicas.places import choose_isolation
from halley.settings import IsolationSettings
print(choose_isolation(IsolationSettings(), Path(sys.argv[1])).words())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has namespaces of mounts")
def test_an_environment_below_tmp_does_not_decide_the_way(tmp_path: Path) -> None:
    # a private /tmp hides what lies in /tmp: the interpreter must be seen through it
    here = choose_isolation(IsolationSettings(), tmp_path)
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="halley-test-") as home:
        venv.create(Path(home, "env"), with_pip=False, symlinks=True)
        packages = Path(home, "env", "lib", f"python3.{sys.version_info.minor}", "site-packages")
        # the packages of this environment, and our own as they are installed here
        paths = [*filter(None, sys.path), sysconfig.get_path("purelib")]
        (packages / "here.pth").write_text("".join(f"{path}\n" for path in paths))
        done = subprocess.run(
            [Path(home, "env", "bin", "python"), "-c", ASK, tmp_path], capture_output=True, text=True, check=True
        )
    assert done.stdout.strip() == here.words()


def test_a_probe_that_fails_names_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = tmp_path / "probe.py"
    source = places._PROBE.read_text()
    probe.write_text(source.replace("    import importlib\n", f"    open({str(tmp_path / 'gone')!r})\n", 1))
    monkeypatch.setattr(places, "_PROBE", probe)
    assert choose_isolation(IsolationSettings(), tmp_path).why.endswith(
        f"No such file or directory: {tmp_path / 'gone'}"
    )
