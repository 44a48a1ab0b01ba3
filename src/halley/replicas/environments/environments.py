"""All environments of a data folder: found, built one at a time per key, counted, deleted."""

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import anyio.to_thread
import msgspec

from halley.clock import Clock
from halley.errors import Unusable
from halley.replicas.environments import build as building
from halley.replicas.environments.interpreters import Interpreters
from halley.replicas.environments.plan import EnvironmentPlan, EnvironmentRules, make_plan
from halley.replicas.loading import ModelSource
from halley.settings import Settings

_log = logging.getLogger(__name__)

LOCK_POLL_SECONDS: Final = 0.2
REMEMBER_SECONDS: Final = 30.0  # a failed build is not repeated for every prediction
_NOTE: Final = "halley.json"  # in a finished environment; its modification time is the last use
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/@\s]+@")


class Note(msgspec.Struct, kw_only=True):
    """What a finished environment records about itself."""

    key: str
    model: str
    python: str
    size_bytes: int
    packages: list[str]


class EnvironmentBuilder:
    """The folder `DATA/envs`. Used by one loop, in the main thread; other processes may use the same folder."""

    def __init__(self, folder: Path, *, rules: EnvironmentRules, clock: Clock, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._rules = rules
        self._clock = clock
        self._environ = environ
        self._interpreters = Interpreters(environ)
        self._plans: dict[str, EnvironmentPlan] = {}  # by key; environments in this dict are in use
        self._builds: dict[str, asyncio.Task[None]] = {}
        self._failed: dict[str, tuple[float, str]] = {}
        self._held: dict[str, int] = {}  # descriptors whose locks keep other servers from deleting what we use

    # what a model gets

    def resolve(self, source: ModelSource) -> ModelSource:
        """The source with the interpreter that will run it, built or not. Blocks.

        Raises:
            Unusable: see `make_plan`.
        """
        planned = make_plan(source, self._rules, self._interpreters)
        source = msgspec.structs.replace(source, warnings=(*source.warnings, *planned.warnings))
        if planned.plan is None:
            return source
        self._plans[planned.plan.key] = planned.plan
        self._hold(planned.plan.key)
        home = self._folder / planned.plan.key
        path = f"{home / 'bin'}{os.pathsep}{self._environ.get('PATH', os.defpath)}"
        return msgspec.structs.replace(
            source,
            environment_key=planned.plan.key,
            python=str(home / "bin" / "python"),
            environment={"PATH": path, "VIRTUAL_ENV": str(home)} | source.environment,
        )

    def plan_of(self, source: ModelSource) -> EnvironmentPlan | None:
        """The plan of a resolved source."""
        return self._plans.get(source.environment_key or "")

    def identity_of(self, source: ModelSource) -> str | None:
        """The part of a version's id that stands for the environment, before and after it is built; None: the server's
        own.

        Requirements, interpreter and platform decide which packages are chosen, and the lock file keeps the choice. If
        the lock file is deleted, packages are chosen again, and that is another environment.
        """
        if source.environment_key is None:
            return None
        choice = self._choice(source.environment_key)
        return source.environment_key if choice == 1 else f"{source.environment_key} {choice}"

    def log_of(self, key: str) -> Path:
        """The path of the last build's output."""
        return self._path(key, "log")

    def size_of(self, key: str) -> int | None:
        """Bytes of a finished environment; None if there is none."""
        note = self._note(self._folder / key)
        return note.size_bytes if note is not None else None

    def is_ready(self, source: ModelSource) -> bool:
        """Whether the model could start now. Reads one file."""
        return source.environment_key is None or (self._folder / source.environment_key / _NOTE).exists()

    async def prepare(self, source: ModelSource) -> None:
        """Build the environment of a resolved source if it does not exist. Callers may share one build.

        Raises:
            Unusable: the build failed; with the last lines of the failed program.
        """
        plan = self.plan_of(source)
        if plan is None:
            return
        if self.is_ready(source):
            with contextlib.suppress(OSError):
                os.utime(self._folder / plan.key / _NOTE)
            return
        at, text = self._failed.get(plan.key, (0.0, ""))
        if text and self._clock.monotonic() - at < REMEMBER_SECONDS:
            raise Unusable(text)
        if plan.key not in self._builds:
            task = asyncio.get_running_loop().create_task(self._build(plan))
            task.add_done_callback(lambda done: self._built(plan.key, done))
            self._builds[plan.key] = task
        await asyncio.shield(self._builds[plan.key])

    def building(self, source: ModelSource) -> str | None:
        """The last line of the running build for this model; None if there is none."""
        if source.environment_key not in self._builds:
            return None
        return _last_line(self.log_of(source.environment_key))

    async def close(self) -> None:
        """End the running builds; a half-built folder stays and is deleted by the next build."""
        tasks = list(self._builds.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for held in self._held.values():
            os.close(held)
        self._held.clear()

    # building

    def _built(self, key: str, done: asyncio.Task[None]) -> None:
        del self._builds[key]
        if not done.cancelled() and (error := done.exception()) is not None:
            self._failed[key] = (self._clock.monotonic(), str(error))

    async def _build(self, plan: EnvironmentPlan) -> None:
        seconds = self._rules.build_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                uv = building.find_uv(self._rules.tool, self._environ)
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._hold(plan.key)
                async with self._locked(plan.key) as lock:
                    if self._note(self._folder / plan.key) is None:  # another process may have built it meanwhile
                        await self._build_locked(plan, uv, lock)
        except building.BuildFailed as error:
            said = _CREDENTIALS.sub("***@", error.said)
            last = said.rpartition("\n")[2].strip()
            text = f"{error}: {last}\nIts last lines:\n{said}"
            raise Unusable(self._failure(plan, text)) from error
        except TimeoutError as error:
            said = building.tail(_end_of(self.log_of(plan.key)))
            text = (
                f"it was not ready after {seconds:g} s (environments.build_timeout_seconds). Its last output:\n{said}"
            )
            raise Unusable(self._failure(plan, _CREDENTIALS.sub("***@", text))) from error
        except OSError as error:
            raise Unusable(self._failure(plan, f"{error}.")) from error
        try:
            await self.evict()
        except OSError as error:  # the environment was built; only the record of it failed
            _log.warning("environments could not be thrown away: %s", error)

    async def _build_locked(self, plan: EnvironmentPlan, uv: str | None, lock: int) -> None:
        final, at = self._folder / plan.key, self._path(plan.key, "tmp")
        _log.info("%s: its environment is being built; the log is %s", plan.model, self.log_of(plan.key))
        await anyio.to_thread.run_sync(_delete, at)
        await anyio.to_thread.run_sync(_delete, final)  # without its note it is incomplete
        with self.log_of(plan.key).open("w+b", buffering=0) as log:
            context = building.BuildContext(
                plan=plan,
                at=at,
                final=final,
                requirements=self._path(plan.key, "requirements.txt"),
                lock=self._path(plan.key, "lock.txt"),
                uv=uv,
                log=log,
                environ=self._environ,
                keep_open=lock,
            )
            packages = await building.build(context)
        size = await anyio.to_thread.run_sync(_size_bytes, at)
        note = Note(
            key=plan.key,
            model=plan.model,
            python=plan.interpreter.version,
            size_bytes=size,
            packages=packages.splitlines(),
        )
        (at / _NOTE).write_bytes(msgspec.json.encode(note))
        if not context.lock.exists():
            context.lock.write_text(packages, encoding="utf-8")
            self._note_choice(plan.key)
        elif self._lock_digest(plan.key) not in self._chosen(plan.key):  # the process was killed between the two writes
            self._note_choice(plan.key)
        at.rename(final)
        self._failed.pop(plan.key, None)
        _log.info("%s: its environment is ready (%d MB, %s)", plan.model, size // 10**6, final)

    def _choice(self, key: str) -> int:
        """How often the packages of this key were chosen; without a lock file, the next time is counted."""
        chosen, now = self._chosen(key), self._lock_digest(key)
        return len(chosen) - chosen[::-1].index(now) if now in chosen else len(chosen) + 1

    def _note_choice(self, key: str) -> None:
        chosen = [*self._chosen(key), self._lock_digest(key)]
        self._path(key, "chosen").write_text("".join(f"{one}\n" for one in chosen), encoding="ascii")

    def _chosen(self, key: str) -> list[str]:
        """The digests of all locks so far, in order."""
        try:
            return self._path(key, "chosen").read_text(encoding="ascii").split()
        except OSError:
            return []

    def _lock_digest(self, key: str) -> str:
        try:
            return hashlib.sha256(self._path(key, "lock.txt").read_bytes()).hexdigest()
        except OSError:
            return ""

    def _failure(self, plan: EnvironmentPlan, what: str) -> str:
        lock = self._path(plan.key, "lock.txt")
        text = f"The environment of {plan.model} cannot be built: {what}\nThe whole log: {self.log_of(plan.key)}"
        if lock.exists():
            text += f"\nIt was built before; delete {lock} so that the versions are chosen again."
        return text

    @contextlib.asynccontextmanager
    async def _locked(self, key: str) -> AsyncIterator[int]:
        """Hold the key's lock against other processes, after waiting for it; yields its descriptor."""
        lock = self._lock_file(key, "busy")
        try:
            while not _try_lock(lock):  # noqa: ASYNC110 - another process has it, and nothing can wake us
                await asyncio.sleep(LOCK_POLL_SECONDS)
            yield lock
        finally:
            os.close(lock)

    # deleting

    async def evict(self) -> None:
        """Delete environments that no model of this server uses, least recently used first, until the rest fits."""
        if self._rules.max_bytes is not None:
            for key in await anyio.to_thread.run_sync(self._too_many, self._rules.max_bytes):
                try:
                    await self._delete_environment(key)
                except OSError as error:  # the space is not freed; the model that needed the build still runs
                    _log.warning("environment %s cannot be thrown away: %s", key, error)

    async def sweep(self) -> None:
        """Delete what builds and evictions left when an earlier process was killed, except builds of running
        processes.
        """
        for path in [*self._folder.glob("*.tmp"), *self._folder.glob("*.gone")]:
            try:
                await self._sweep(path)
            except OSError as error:  # one that cannot be deleted must not stop the others or the start
                _log.warning("%s was left by an earlier process and cannot be deleted: %s", path, error)

    async def _sweep(self, path: Path) -> None:
        lock = self._lock_file(path.stem, "busy")
        try:
            if _try_lock(lock):
                await anyio.to_thread.run_sync(_delete, path)
        finally:
            os.close(lock)

    def _too_many(self, max_bytes: int) -> list[str]:
        found = []
        for path in self._folder.iterdir():
            note = self._note(path)
            if note is not None:
                found.append(((path / _NOTE).stat().st_mtime, path.name, note.size_bytes))
        whole = sum(size for _, _, size in found)
        gone = []
        for _, key, size in sorted(found):
            if whole <= max_bytes:
                break
            if key not in self._plans:
                gone.append(key)
                whole -= size
        return gone

    async def _delete_environment(self, key: str) -> None:
        aside = self._path(key, "gone")
        busy, used = self._lock_file(key, "busy"), self._lock_file(key, "used")
        try:
            if not (_try_lock(busy) and _try_lock(used)):
                return  # another server builds or uses it
            (self._folder / key).rename(aside)  # at once, so that no model starts in a half-deleted one
        finally:
            os.close(used)
            os.close(busy)
        await anyio.to_thread.run_sync(_delete, aside)
        _log.info("environment %s is thrown away: no model uses it, and environments.max_bytes is reached", key)

    def _hold(self, key: str) -> None:
        if key not in self._held and self._folder.is_dir():
            self._held[key] = self._lock_file(key, "used")
            fcntl.flock(self._held[key], fcntl.LOCK_SH)  # waits for a rename at most

    def _lock_file(self, key: str, kind: str) -> int:
        return os.open(self._path(key, kind), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _path(self, key: str, kind: str) -> Path:
        return self._folder / f"{key}.{kind}"

    @staticmethod
    def _note(path: Path) -> Note | None:
        try:
            return msgspec.json.decode((path / _NOTE).read_bytes(), type=Note)
        except (OSError, msgspec.DecodeError):
            return None


def open_environments(settings: Settings, *, clock: Clock, environ: Mapping[str, str]) -> EnvironmentBuilder:
    """The environments of a server with these settings; does not read or write files yet."""
    wanted = settings.environments
    rules = EnvironmentRules(
        env=wanted.env,
        tool=wanted.tool,
        strict_python=wanted.strict_python,
        build_timeout_seconds=wanted.build_timeout_seconds,
        max_bytes=wanted.max_bytes,
    )
    return EnvironmentBuilder(wanted.folder or settings.data / "envs", rules=rules, clock=clock, environ=environ)


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _delete(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)


def _size_bytes(folder: Path) -> int:
    """Bytes on the disk; a file with two hard links counts twice."""
    return sum(
        os.lstat(os.path.join(here, name)).st_blocks * 512  # noqa: PTH118 - a large one has 50,000 files
        for here, _, files in os.walk(folder)
        for name in files
    )


def _end_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _last_line(log: Path) -> str:
    return _CREDENTIALS.sub("***@", building.tail(_end_of(log)).rpartition("\n")[2].strip())
