"""Models that reach for what is ours, or hand out what is not theirs."""

import pytest

from halley.runner._halley_runner.journal import EXIT_CUT_OFF


def test_an_exception_without_a_text_is_named(start, write_model):
    folder = write_model("""
class Odd(Exception):
    def __str__(self):
        raise RuntimeError("no text")

def run():
    raise Odd
""")
    done = start("predict.py", folder=folder).predict().done
    assert done["error"] == "Odd: its text cannot be read: RuntimeError (predict.py:7)"


@pytest.mark.parametrize("name", ["/etc/hostname", "link", "/proc/self/environ", "/dev/zero"])
def test_links_out_and_files_of_the_system_are_not_given_out(start, write_model, name):
    folder = write_model("""
from cog import Path

def run(name: str) -> Path:
    return Path(name)
""")
    (folder / "link").symlink_to("/etc/passwd")
    child = start("predict.py", folder=folder)
    assert f"{name} " in child.predict(name=name).error


def test_links_to_own_files_are_copied(start, write_model):
    folder = write_model("""
from cog import Path

def run() -> Path:
    return Path("link.txt")
""")
    (folder / "own.txt").write_text("mine")
    (folder / "link.txt").symlink_to(folder / "own.txt")
    child = start("predict.py", folder=folder)
    assert child.predict().done["value"].startswith(str(child.run_folder))


@pytest.mark.parametrize("name", ["os", "time", "threading", "socket.socket"])
def test_what_a_model_puts_in_the_place_of_our_tools_hurts_only_itself(start, write_model, name):
    folder = write_model("""
import os, socket, threading, time

def broken(*_, **__):
    raise RuntimeError("patched away")

def run(name: str) -> str:
    owner = socket.socket if name == "socket.socket" else globals()[name]
    for tool in ("read", "write", "_exit", "close", "monotonic", "perf_counter", "get_ident", "send", "recv"):
        if hasattr(owner, tool):
            setattr(owner, tool, broken)
    print("patched")
    return name
""")
    child = start("predict.py", folder=folder)
    for _ in range(2):
        story = child.predict(name=name)
        assert (story.done["status"], story.done["value"]) == ("succeeded", name)


@pytest.mark.parametrize(("first", "last"), [(0, 100), (3, 4096)])
def test_a_closed_connection_has_an_exit_status_of_its_own(start, write_model, first, last):
    folder = write_model("""
import os

def run(first: int, last: int) -> str:
    os.closerange(first, last)
    print("still here")
    return "closed"
""")
    child = start("predict.py", folder=folder)
    child.send({"first": first, "last": last})
    if last == 100:  # ours live above
        assert child.read_until("done")["value"] == "closed"
    else:
        child.read_to_end()
        assert child.wait() == EXIT_CUT_OFF
