"""The data folder: held by one server, or, in tests, shared by processes that start one after the other."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from halley.errors import Unusable
from halley.store.folder import hold

START_AND_SAY = """
import sys
from pathlib import Path
from halley.store.folder import hold
with hold(Path(sys.argv[1]), is_shared=True) as folder:
    print(folder.is_alone, flush=True)
    folder.let_others_start()
    sys.stdin.read()
"""


def start_another(data: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", START_AND_SAY, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ},
    )


def is_alone(process: "subprocess.Popen[str]") -> bool:
    assert process.stdout is not None
    return process.stdout.readline() == "True\n"


def end(process: "subprocess.Popen[str]") -> None:
    process.communicate("", timeout=120)


def test_a_server_of_its_own_refuses_and_is_refused(tmp_path: Path) -> None:
    with hold(tmp_path):
        for is_shared in (False, True):
            with pytest.raises(Unusable, match="is used by process"), hold(tmp_path, is_shared=is_shared):
                pass
    with hold(tmp_path, is_shared=True) as folder:
        folder.let_others_start()
        with pytest.raises(Unusable, match="is used by process"), hold(tmp_path):
            pass
    with hold(tmp_path) as folder:
        assert folder.is_alone


def test_the_first_that_shares_it_is_alone_until_it_lets_others_start(tmp_path: Path) -> None:
    with hold(tmp_path, is_shared=True) as first:
        assert first.is_alone
        other = start_another(tmp_path)
        time.sleep(0.3)
        assert other.poll() is None
        with pytest.raises(Unusable), hold(tmp_path):  # neither is a server of its own let in between
            pass
        first.let_others_start()
        assert not is_alone(other)
    with hold(tmp_path, is_shared=True) as third:
        assert not third.is_alone, "the other one is still there"
    end(other)
    with hold(tmp_path, is_shared=True) as fourth:
        assert fourth.is_alone


def test_a_killed_process_leaves_nothing_held(tmp_path: Path) -> None:
    other = start_another(tmp_path)
    assert is_alone(other)
    other.kill()
    other.communicate()
    with hold(tmp_path) as folder:
        assert folder.is_alone


def test_what_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unusable, match="file cannot be used: it is no folder"), hold(tmp_path / "file"):
        pass
    with pytest.raises(Unusable, match="data cannot be used: a part of its path is no folder"):  # noqa: SIM117
        with hold(tmp_path / "file" / "data"):
            pass
