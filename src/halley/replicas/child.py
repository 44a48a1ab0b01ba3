"""One child process that runs our runner: starts it, reads its frames, and ends it with everything that it started."""

import asyncio
import os
import resource
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec

import halley
from halley.replicas.channel import Body, Channel
from halley.replicas.endings import Exit
from halley.replicas.loading import ModelSource
from halley.replicas.memory import descendants
from halley.replicas.output_journal import OutputJournal, UnsentOutput
from halley.replicas.places import ReplicaPlace
from halley.replicas.workspace import delete_folder

RUNNER: Final = Path(halley.__file__).parent / "runner" / "start.py"
INHERITED: Final = frozenset({
    "PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES", "CUDA_HOME", "NVIDIA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES",
    "XDG_CACHE_HOME", "HF_HOME", "TORCH_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "OMP_NUM_THREADS", "MKL_NUM_THREADS",
})  # fmt: skip
"""Variables that a model gets from the server's environment, besides LC_*: none that can hold a secret."""

LAST_WORDS_BYTES: Final = 16 * 2**10
_SWEEPING_SECONDS: Final = 1.0  # time for the supervising process to kill the rest
_HANGING_SECONDS: Final = 1.0  # between the end of DATA and the end of the process, while the interpreter cleans up


def _ignore(_: object) -> None:
    """Drop frames that do not answer a request."""


class ChildListener(Protocol):
    """The owner of a child, notified of what it does. All calls come in the loop's thread."""

    def on_frames(self, bodies: Sequence[Body]) -> None:
        """The frames of one read on DATA, in order.

        Raises:
            ValueError: a frame is not valid protocol; those before it were handled.
        """
        ...

    def on_protocol_error(self, fault: str) -> None:
        """The child sent invalid protocol; the process is being killed."""
        ...

    def on_unsent_output(self, pieces: Sequence[UnsentOutput]) -> None:
        """The output that it wrote and did not send; called once, after all frames."""
        ...

    def on_exit(self, how: Exit) -> None:
        """The process has ended, its group is killed, and all its frames have been passed on."""
        ...


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of the server's environment that models and other programs may see."""
    return {name: value for name, value in environ.items() if name in INHERITED or name.startswith("LC_")}


def child_environment(environ: Mapping[str, str], source: ModelSource) -> dict[str, str]:
    """The model's environment: an allow-list, then the model's own variables, then those that Halley always sets."""
    return inherited(environ) | source.environment | {"PYTHONUNBUFFERED": "1"}


class Child:
    """A process that was started; its listener's `on_exit` is called exactly once.

    It has its own folder for temporary files, which is deleted with it.
    """

    def __init__(
        self,
        source: ModelSource,
        listener: ChildListener,
        *,
        environ: Mapping[str, str],
        mode: Literal["serve", "inspect", "train"],
        answered: Callable[[Sequence[Body]], None] = _ignore,
        place: ReplicaPlace | None = None,
        config: Mapping[str, object] | None = None,
    ) -> None:
        """Start the process in `place`, which it then owns; without one in the model's folder.

        `answered` gets its frames on CONTROL, which are pongs. `config` holds further settings for the runner.

        The kernel kills the process when the thread that started it ends: call this in the main thread.

        Raises:
            OSError: the process cannot be started; nothing is left behind.
        """
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._last_words = bytearray()
        self._scratch = (
            Path(tempfile.mkdtemp(prefix="replica-", dir=environ.get("TMPDIR"))) if place is None else place.folder
        )
        temporary = {"TMPDIR": str(self._scratch if place is None else place.temporary)}
        self._output_journal = OutputJournal()
        ours, theirs = zip(socket.socketpair(), socket.socketpair(), strict=True)
        self._words, words = os.pipe()
        passed = (*(sock.fileno() for sock in theirs), *self._output_journal.child_descriptors)
        try:
            self._process = subprocess.Popen(
                _arguments(source, mode, {**(config or {}), "place": place and place.config}, *passed),
                cwd=source.folder,
                env=child_environment({**environ, **temporary}, source),
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                pass_fds=passed,
                start_new_session=True,
            )
            self.pid: Final = self._process.pid
            self._pidfd = os.pidfd_open(self.pid)
        except OSError:
            os.close(self._words)
            delete_folder(self._scratch)
            self._output_journal.close()
            for sock in ours:
                sock.close()
            raise
        finally:
            os.close(words)
            self._output_journal.close_child_descriptors()
            for sock in theirs:
                sock.close()
        self.gone: Final[asyncio.Future[None]] = self._loop.create_future()
        self._listen(*ours, answered)

    @property
    def crash_output(self) -> str:
        """Text on the process's first standard error: crashes of the interpreter, never output of the model."""
        return self._last_words.decode(errors="replace")

    def command(self, body: bytes) -> None:
        """Send a frame on CONTROL."""
        self._control.send(body)

    def terminate(self) -> None:
        """Ask the whole process group to end."""
        self._signal_group(signal.SIGTERM)

    def kill(self) -> None:
        """End the model and all that it started. Does nothing if it has ended.

        The first process supervises the others: it kills them and ends last. If it does not, the group is killed.
        """
        if self.gone.done():
            return
        below = descendants(self.pid)[1:]
        for pid in below:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has just ended
        if below:
            self._loop.call_later(_SWEEPING_SECONDS, self._signal_group, signal.SIGKILL)
        else:
            self._signal_group(signal.SIGKILL)

    def _listen(self, data: socket.socket, control: socket.socket, answered: Callable[[Sequence[Body]], None]) -> None:
        os.set_blocking(self._words, False)
        self._data = Channel(data, take=self._listener.on_frames, ended=self._data_ended)
        self.send = self._data.send  # a frame on DATA
        self._control = Channel(control, take=answered, ended=self._control_ended)
        self._loop.add_reader(self._words, self._read_words)
        self._loop.add_reader(self._pidfd, self._on_exit)

    def _signal_group(self, number: signal.Signals) -> None:
        if not self.gone.done():  # afterwards another process may have this number
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                pass

    def _control_ended(self, fault: str | None) -> None:
        if fault is not None:  # an end without a fault is also reported on DATA
            self._data_ended(fault)

    def _data_ended(self, fault: str | None) -> None:
        if fault is not None:
            self._listener.on_protocol_error(fault)
            self.kill()
        else:  # it normally exits now; without its socket it is of no use
            self._loop.call_later(_HANGING_SECONDS, self.kill)

    def _read_words(self) -> bool:
        try:
            piece = os.read(self._words, LAST_WORDS_BYTES)
        except BlockingIOError:
            return False
        self._last_words = (self._last_words + piece)[-LAST_WORDS_BYTES:]
        if not piece:
            self._loop.remove_reader(self._words)
        return bool(piece)

    def _on_exit(self) -> None:
        # The group is killed before the process is reaped (until then no other process can get its number), and before
        # the last frames are read, so that no process still writes them.
        self._signal_group(signal.SIGKILL)
        self._data.drain()
        while self._read_words():
            pass
        _, status, usage = os.wait4(self.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)  # otherwise Popen would try to wait for its child
        self._listener.on_unsent_output(self._output_journal.unsent())
        self._release()
        self._listener.on_exit(
            Exit(
                code=os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
                signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
                peak_bytes=_peak_bytes(usage),
            )
        )

    def _release(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self._loop.remove_reader(self._words)
        os.close(self._pidfd)
        os.close(self._words)
        self._output_journal.close()
        self._data.close()
        self._control.close()
        # in a thread: the model may have left many files there
        self._loop.run_in_executor(None, delete_folder, self._scratch)
        self.gone.set_result(None)


def _arguments(
    source: ModelSource, mode: str, more: Mapping[str, object], data: int, control: int, *output: int
) -> list[str]:
    # `environment` is passed in the process's environment: arguments are visible to every user of the machine
    config: dict[str, object] = {
        "folder": str(source.folder),
        "origin": str(source.file or source.folder),
        "ref": source.ref,
        "train_ref": source.train_ref,
        "max_concurrency": source.max_concurrency,
        "environment": {},
        "memory_limit_bytes": source.memory_limit_bytes,
        **more,
    }
    words = ["--parent", str(os.getpid()), "--data", str(data), "--control", str(control)]
    words += ["--output", ",".join(map(str, output)), "--mode", mode]
    return [source.python, "-X", "utf8", str(RUNNER), *words, "--config", msgspec.json.encode(config).decode()]


def _peak_bytes(usage: resource.struct_rusage) -> int | None:
    # Linux counts from before exec, when the process was still a copy of us: the value is at least our own peak.
    ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage.ru_maxrss * 1024 if usage.ru_maxrss > ours else None
