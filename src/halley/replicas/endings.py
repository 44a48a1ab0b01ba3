"""Why a model process ended: a text for people, and a stable reason word for programs."""

import signal
from typing import Final, Literal

import msgspec

Reason = Literal[
    "replica_died",
    "out_of_memory",
    "setup_failed",
    "setup_timeout",
    "unresponsive",
    "unhealthy",
    "unloaded",
    "worker_lost",
]
"""`worker_lost`: the server stopped it; the prediction may be tried again. `unloaded`: no prediction ran in it."""

_KIND: Final = {
    signal.SIGSEGV: "segmentation fault",
    signal.SIGBUS: "bus error",
    signal.SIGABRT: "it aborted itself",
    signal.SIGFPE: "arithmetic fault",
    signal.SIGILL: "illegal instruction: was it built for another processor?",
    signal.SIGKILL: "forced from outside, often by the system when memory runs out",
    signal.SIGTERM: "asked from outside to end",
}
SAID_CHARS: Final = 64 * 2**10
"""How much of a process's output is kept to explain its end."""

_CUT_OFF: Final = 213  # EXIT_CUT_OFF of the runner
_TAIL_LINES: Final = 20
_OUR_FRAMES: Final = ("/_halley_runner/", "/runner/start.py")
_TAIL_CHARS: Final = 2000
_LINE_CHARS: Final = 200


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended: by `code` or by `signal`. `peak_bytes` is None if it is unknown."""

    code: int | None = None
    signal: int | None = None
    peak_bytes: int | None = None


class End(msgspec.Struct, frozen=True, kw_only=True):
    """Why a replica ended; `error` is one or more sentences."""

    reason: Reason
    error: str


def exit_text(how: Exit, *, doing: str, last_output: str = "") -> str:
    """`The model process was killed by signal 11 (SIGSEGV, segmentation fault) while ...`, with its last output."""
    # only where memory may be the cause: elsewhere the figure misleads
    is_telling = how.signal == signal.SIGKILL and how.peak_bytes is not None
    peak = f" Its memory had reached {megabytes(how.peak_bytes or 0)}." if is_telling else ""
    return f"The model process {_manner(how)} while {doing}.{peak}{quoted(last_output)}"


def memory_limit_text(used_bytes: int, limit_bytes: int) -> str:
    """The sentence for a process that was stopped because of its memory."""
    return (
        f"out of memory: used {megabytes(used_bytes)} of its {megabytes(limit_bytes)} limit. Give the model more "
        "(memory_limit in its cog.yaml or in the settings), or make it need less."
    )


def quoted(text: str) -> str:
    """The last lines of an output, to be appended to a sentence; empty if there are none.

    Frames of our own code in a crash dump say nothing about the model and are left out.
    """
    lines = [line for line in text.strip().splitlines() if not any(frame in line for frame in _OUR_FRAMES)]
    lines = lines[-_TAIL_LINES:]
    tail = "\n".join(lines)[-_TAIL_CHARS:]
    return f"\nIts last output:\n{tail}" if tail else ""


def last_line(text: str) -> str:
    """The last line as a terminal would show it, printable and shortened: for a sentence."""
    lines = [line for line in text[-_TAIL_CHARS:].replace("\r", "\n").splitlines() if line.strip()]
    shown = "".join(letter if letter.isprintable() else " " for letter in lines[-1]) if lines else ""
    return shown.strip()[:_LINE_CHARS]


def megabytes(size_bytes: int) -> str:
    """`262 MB`, of 10^6 bytes as in the settings."""
    return f"{size_bytes / 1e6:,.0f} MB"


def _manner(how: Exit) -> str:
    if how.code == _CUT_OFF:
        return "closed its connection to the server"
    if how.signal is None:
        return f"exited with code {how.code}"
    try:
        name = signal.Signals(how.signal)
    except ValueError:  # a real-time signal
        return f"was killed by signal {how.signal}"
    kind = _KIND.get(name)
    return f"was killed by signal {how.signal} ({name.name}{f', {kind}' if kind else ''})"
