"""Builds one environment in its folder `<key>.tmp`: create it, install packages, record their versions."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final, Literal

import msgspec

from halley.errors import Unusable
from halley.replicas.environments.command import run_logged
from halley.replicas.environments.indexes import build_environment, for_uv
from halley.replicas.environments.plan import EnvironmentPlan

TAIL_LINES: Final = 15
_SCRIPT_BYTES: Final = 2**20  # a larger file in bin/ is a binary, not a script
# Builds run in the model's folder, where requirements may name files. Python's own modules and pip must not be imported
# from there. Python before 3.11 has no -P; -I does more, which does no harm here.
_ALONE: Final = ("-I", "-u")
_LIST: Final = (
    "import importlib.metadata as m, sys\n"
    "found = {(d.metadata['Name'] or '?').lower().replace('_', '-') + '==' + d.version for d in m.distributions()}\n"
    "open(sys.argv[1], 'w').write(''.join(sorted(line + '\\n' for line in found)))\n"
)


class BuildFailed(Exception):
    """A step of a build failed; `said` is the end of its output."""

    def __init__(self, step: str, status: int, said: str) -> None:
        super().__init__(f"{step} ended with exit status {status}")
        self.step, self.status, self.said = step, status, said


class BuildContext(msgspec.Struct, frozen=True, kw_only=True):
    """The paths and tools of one build."""

    plan: EnvironmentPlan
    at: Path  # `<key>.tmp`
    final: Path  # its path once finished; it is never moved afterwards
    requirements: Path
    lock: Path  # versions that an earlier build chose; the file may be absent
    uv: str | None
    log: IO[bytes]
    environ: Mapping[str, str]
    keep_open: int


def find_uv(tool: Literal["auto", "uv", "pip"], environ: Mapping[str, str]) -> str | None:
    """The path of uv, or None to build with venv and pip.

    Raises:
        Unusable: uv is required and not installed.
    """
    found = None if tool == "pip" else shutil.which("uv", path=environ.get("PATH", os.defpath))
    if tool == "uv" and found is None:
        raise Unusable('environments.tool is "uv", but there is no uv on the PATH: install it, or set "auto".')
    return found


async def build(context: BuildContext) -> str:
    """Build it; returns the lock: one line `name==version` for each installed package, sorted.

    Raises:
        BuildFailed: a program failed.
        OSError: a program cannot be started, or the disk is full.
    """
    python = str(context.at / "bin" / "python")
    if context.uv is not None:
        # --relocatable: its scripts still work after the folder is renamed
        make = [context.uv, "venv", "--no-project", "--relocatable", "--python", context.plan.interpreter.path]
        await _step(context, "uv venv", [*make, str(context.at)])
        install = [context.uv, "pip", "install", "--python", python]
    else:
        make = [context.plan.interpreter.path, *_ALONE, "-m", "venv", "--without-pip"]
        await _step(context, "python -m venv", [*make, str(context.at)])
        install = await _pip(context, python)
    if context.plan.requirements:
        context.requirements.write_text(context.plan.requirements, encoding="utf-8")
        pinned = ["-c", str(context.lock)] if context.lock.exists() else []
        words = "uv pip install" if context.uv is not None else "pip install"
        await _step(context, words, [*install, *pinned, "-r", str(context.requirements)])
    listed = context.at / "packages.txt"
    await _step(context, "its Python", [python, "-I", "-c", _LIST, str(listed)])
    _fix_script_paths(context)
    return listed.read_text(encoding="utf-8")


async def _pip(context: BuildContext, python: str) -> list[str]:
    # the server's pip can install for another Python, so the environment needs no pip of its own
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-P", "-u", "-m", "pip", "--python", python, "install"]
    await _step(context, "python -m ensurepip", [python, *_ALONE, "-m", "ensurepip"])
    return [python, *_ALONE, "-m", "pip", "install"]


async def _step(context: BuildContext, words: str, command: list[str]) -> None:
    environ = build_environment(context.environ)
    if context.uv is not None:
        environ |= for_uv(context.environ)
    shown = " ".join(word for word in command if "\n" not in word)
    context.log.write(f"$ {shown}\n".encode())
    context.log.flush()
    begin = context.log.seek(0, os.SEEK_END)
    status = await run_logged(
        command, log=context.log, folder=context.plan.folder, environ=environ, keep_open=context.keep_open
    )
    if status != 0:
        context.log.seek(begin)
        raise BuildFailed(words, status, tail(context.log.read().decode(errors="replace")))


def tail(text: str) -> str:
    """The last lines that are not empty."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-TAIL_LINES:])


def _fix_script_paths(context: BuildContext) -> None:
    """Console scripts contain the path of their interpreter: replace it by the final path."""
    before, after = os.fsencode(context.at), os.fsencode(context.final)
    for script in (context.at / "bin").iterdir():
        if script.is_symlink() or not script.is_file() or script.stat().st_size > _SCRIPT_BYTES:
            continue
        content = script.read_bytes()
        if before in content and b"\0" not in content:
            script.write_bytes(content.replace(before, after))
