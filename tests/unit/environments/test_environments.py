"""EnvironmentBuilder are built once, told apart by what is in them, and thrown away when nobody needs them."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from halley.errors import Unusable
from halley.replicas.environments.environments import EnvironmentBuilder
from halley.replicas.environments.plan import EnvironmentRules
from halley.replicas.inspect import inspect
from halley.replicas.loading import load_source
from halley.testing.clock import FakeClock
from needs import require
from unit.environments.packages import UV, model, wheel

pytestmark = pytest.mark.anyio

Make = Callable[..., AbstractAsyncContextManager[EnvironmentBuilder]]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """What a build sees: uv is not on this PATH."""
    (tmp_path / "home").mkdir()
    return {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "home"), "PIP_CACHE_DIR": str(tmp_path / "cache")}


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    at = tmp_path / "wheels"
    wheel(at, "greeter", "1.0", "WORD = 'Hello'\ndef main():\n    print(WORD)\n", script="greet")
    wheel(at, "greeter", "2.0", "WORD = 'Salve'\ndef main():\n    print(WORD)\n", script="greet")
    wheel(at, "picky", "1.0", "", needs="greeter<2")
    return at


@pytest.fixture
def environments(tmp_path: Path, environ: dict[str, str]) -> Make:
    @contextlib.asynccontextmanager
    async def opened(**rules) -> AsyncIterator[EnvironmentBuilder]:
        made = EnvironmentBuilder(
            tmp_path / "envs", rules=EnvironmentRules(**rules), clock=FakeClock(), environ=environ
        )
        await made.sweep()
        try:
            yield made
        finally:
            await made.close()

    return opened


def said(python: str, code: str) -> str:
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, timeout=120).stdout.strip()


def test_uv_is_there():
    require(UV is not None, "uv, from the lock of the development tools")


@pytest.mark.parametrize("tool", ["pip", "uv"])
async def test_two_models_with_conflicting_packages_have_both(tmp_path, environ, environments, wheels, tool) -> None:
    if tool == "uv":
        require(UV is not None, "uv")
        environ["PATH"] = f"{Path(str(UV)).parent}:{environ['PATH']}"
        environ["UV_CACHE_DIR"] = str(tmp_path / "uv-cache")
    async with environments(tool=tool) as made:
        old = made.resolve(load_source(model(tmp_path / "old", "greeter", "picky", wheels=wheels)))
        new = made.resolve(load_source(model(tmp_path / "new", "greeter>=2  # newest", wheels=wheels)))
        identities = made.identity_of(old), made.identity_of(new)
        assert len({*identities, None}) == 3
        assert not made.is_ready(old)
        await asyncio.gather(made.prepare(old), made.prepare(new), made.prepare(new))
        assert [said(source.python, "import greeter; print(greeter.WORD)") for source in (old, new)] == [
            "Hello",
            "Salve",
        ]
        assert said(new.python, "import sys; print(sys.prefix)") == str(tmp_path / "envs" / str(new.environment_key))
        assert (made.identity_of(old), made.identity_of(new)) == identities
        assert (made.size_of(str(new.environment_key)) or 0) > 0
        script = Path(new.python).parent / "greet"
        assert subprocess.run([script], capture_output=True, text=True, check=True, timeout=120).stdout == "Salve\n"
        found = await inspect(new, environ=environ)
        assert b"name" in found.openapi_schema
    assert not list((tmp_path / "envs").glob("*.tmp"))


async def test_equal_requirements_share_one_environment_across_restarts(tmp_path, environments, wheels) -> None:
    async with environments(tool="pip") as made:
        first = made.resolve(load_source(model(tmp_path / "a", "greeter==1.0", wheels=wheels)))
        await made.prepare(first)
        log = made.log_of(str(first.environment_key)).stat().st_mtime_ns
    async with environments(tool="pip") as made:
        second = made.resolve(load_source(model(tmp_path / "b", "# the same", "greeter==1.0", wheels=wheels)))
        assert second.python == first.python
        assert made.is_ready(second)
        await made.prepare(second)
        assert made.log_of(str(first.environment_key)).stat().st_mtime_ns == log


async def test_a_second_build_chooses_the_same_versions(tmp_path, environments, wheels) -> None:
    (wheels / "greeter-2.0-py3-none-any.whl").rename(tmp_path / "later.whl")
    async with environments(tool="pip", max_bytes=1) as made:
        source = made.resolve(load_source(model(tmp_path / "m", "greeter", wheels=wheels)))
        await made.prepare(source)
        identity = made.identity_of(source)
    (tmp_path / "later.whl").rename(wheels / "greeter-2.0-py3-none-any.whl")
    async with environments(tool="pip", max_bytes=1) as made:
        await made.evict()
        assert not (tmp_path / "envs" / str(source.environment_key)).exists()  # nobody used it yet
        again = made.resolve(load_source(tmp_path / "m"))
        assert made.identity_of(again) == identity
        await made.prepare(again)
        assert said(again.python, "import greeter; print(greeter.WORD)") == "Hello"
        assert made.is_ready(again)  # over the size, but in use


@pytest.mark.parametrize("is_newer", [True, False])
async def test_without_its_lock_file_another_environment_is_built(
    tmp_path, environments, wheels, *, is_newer: bool
) -> None:
    async with environments(tool="pip") as made:
        source = made.resolve(load_source(model(tmp_path / "m", "greeter<2", wheels=wheels)))
        first = made.identity_of(source)
        await made.prepare(source)
        assert made.identity_of(source) == first
    lock = tmp_path / "envs" / f"{source.environment_key}.lock.txt"
    for turn in range(2):
        shutil.rmtree(tmp_path / "envs" / str(source.environment_key))
        lock.unlink()
        if is_newer:
            wheel(wheels, "greeter", f"1.{turn + 1}", f"WORD = {turn}\n")
        async with environments(tool="pip") as made:
            again = made.resolve(load_source(tmp_path / "m"))
            before = made.identity_of(again)
            assert before == f"{first} {turn + 2}"
            await made.prepare(again)
            assert made.identity_of(again) == before


async def test_what_cannot_be_installed_says_why_and_is_not_tried_at_once_again(tmp_path, environments, wheels) -> None:
    async with environments(tool="pip") as made:
        source = made.resolve(load_source(model(tmp_path / "m", "greeter", "no-such-thing==7", wheels=wheels)))
        with pytest.raises(Unusable, match="No matching distribution found for no-such-thing==7") as refused:
            await made.prepare(source)
        assert "The environment of local/m cannot be built: pip install ended with exit status 1" in str(refused.value)
        assert str(made.log_of(str(source.environment_key))) in str(refused.value)
        before = made.log_of(str(source.environment_key)).stat().st_mtime_ns
        with pytest.raises(Unusable, match="no-such-thing"):
            await made.prepare(source)
        assert made.log_of(str(source.environment_key)).stat().st_mtime_ns == before
        wheel(wheels, "no_such_thing", "7", "")
        made._clock.advance(60)
        await made.prepare(source)
        assert made.is_ready(source)


async def test_a_build_has_a_limit_and_leaves_nothing_running(tmp_path, environments, wheels) -> None:
    slow, marks = tmp_path / "slow", tmp_path / "marks"
    slow.mkdir()
    os.mkfifo(marks)
    (slow / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "sleepy"\nbackend-path = ["."]\n'
        '[project]\nname = "slow"\nversion = "1"\n'
    )
    (slow / "sleepy.py").write_text(f"import time\nkept = open({str(marks)!r}, 'w')\ntime.sleep(600)\n")
    reader = os.open(marks, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    try:
        async with environments(tool="pip", build_timeout_seconds=2) as made:
            source = made.resolve(load_source(model(tmp_path / "m", str(slow), wheels=wheels)))
            with pytest.raises(Unusable, match=r"was not ready after 2 s \(environments\.build_timeout_seconds\)"):
                await made.prepare(source)
            assert made.building(source) is None
        assert os.read(reader, 1) == b""  # whoever had it open is gone
    finally:
        os.close(reader)
    assert not (tmp_path / "envs" / str(source.environment_key)).exists()


async def test_what_a_killed_server_left_is_swept(tmp_path, environments) -> None:
    for name in ("abc.tmp", "abd.gone"):
        (tmp_path / "envs" / name).mkdir(parents=True)
    async with environments():
        assert sorted(path.name for path in (tmp_path / "envs").iterdir()) == ["abc.busy", "abd.busy"]


async def test_a_local_project_counts_by_its_content(tmp_path, environments, wheels) -> None:
    folder = model(tmp_path / "m", "./lib", wheels=wheels)
    (folder / "lib").mkdir()
    (folder / "lib" / "a.py").write_text("1")
    async with environments() as made:
        key = made.resolve(load_source(folder)).environment_key
        (folder / "lib" / "a.py").write_text("2")
        assert made.resolve(load_source(folder)).environment_key != key


async def test_without_requirements_the_servers_python_runs_it(tmp_path, environments) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "run.py").write_text("")
    async with environments() as made:
        source = made.resolve(load_source(tmp_path / "m"))
        assert (source.python, source.environment_key, made.identity_of(source)) == (sys.executable, None, None)
        await made.prepare(source)


async def test_env_current_asks_for_nothing(tmp_path, environments, wheels) -> None:
    folder = model(tmp_path / "m", "greeter", wheels=wheels)
    async with environments(env="current") as made:
        assert made.resolve(load_source(folder)).python == sys.executable


async def test_a_python_that_is_not_there_warns_or_is_refused(tmp_path, environments) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "run.py").write_text("")
    (folder / "cog.yaml").write_text("build:\n  python_version: 3.10\nrun: run.py\n")
    async with environments() as made:
        source = made.resolve(load_source(folder))
        assert source.python == sys.executable
        assert "asks for Python 3.10 (`build.python_version`), which is not installed" in source.warnings[-1]
    async with environments(strict_python=True) as made:
        with pytest.raises(Unusable, match=r"Python 3\.10 .* or serve without --strict-python"):
            made.resolve(load_source(folder))


async def test_an_installed_python_is_used(tmp_path, environ, environments) -> None:
    # a shim that knows no such version comes first; the real one is a script that says 3.10 and does the rest as ours
    for name, code in (
        ("shims", "exit 127"),
        (
            "real",
            f'case "$3" in *implementation*) echo 3.10.9 cpython /opt/py310;; *) exec {sys.executable} "$@";; esac',
        ),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "python3.10").write_text(f"#!/bin/sh\n{code}\n")
        (tmp_path / name / "python3.10").chmod(0o755)
    environ["PATH"] = f"{tmp_path / 'shims'}:{tmp_path / 'real'}:{environ['PATH']}"
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "run.py").write_text("")
    (folder / "cog.yaml").write_text("build:\n  python_version: '3.10'\nrun: run.py\n")
    async with environments(tool="pip") as made:
        source = made.resolve(load_source(folder))
        plan = made.plan_of(source)
        assert plan is not None
        assert (plan.interpreter.version, plan.interpreter.path) == ("3.10.9", str(tmp_path / "real" / "python3.10"))
        await made.prepare(source)
        assert said(source.python, "import sys; print(sys.prefix != sys.base_prefix)") == "True"
