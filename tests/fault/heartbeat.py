"""The command line with a heartbeat in the server's loop: `python heartbeat.py NOTES serve ...`.

The longest time between two beats is what anybody may have had to wait for the loop. It is written to NOTES a few times
a second, with the most memory that the server ever held, and the most processor time that it used between two beats: on
a busy machine that says how long the pause would have been. An empty file NOTES.reset begins a new count.
"""

import asyncio
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

BEAT_SECONDS: Final = 0.005
NOTE_SECONDS: Final = 0.2


async def beat(notes: Path) -> None:
    """Never ends. The pause between two beats beyond BEAT_SECONDS is the loop's."""
    reset = notes.with_suffix(".reset")
    longest, noted, last = 0.0, 0.0, time.monotonic()
    most, used = 0.0, time.process_time()
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        now = time.monotonic()
        longest, last = max(longest, now - last - BEAT_SECONDS), now
        cpu = time.process_time()
        most, used = max(most, cpu - used), cpu
        if now - noted > NOTE_SECONDS:
            noted = now
            if reset.exists():
                reset.unlink()
                longest = most = 0.0
            aside = notes.with_suffix(".part")
            aside.write_text(f"{longest * 1000:.1f} {peak_bytes()} {most * 1000:.1f}")
            aside.replace(notes)
            last, used = time.monotonic(), time.process_time()


def peak_bytes() -> int:
    """The most memory that this process ever held. Source: proc(5), VmHWM."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def main() -> None:
    """Run the command line; where it would become the server, serve in this process and beat in its loop."""
    import uvloop

    from halley.cli import serving
    from halley.cli.main import main as run
    from halley.settings import take_environ

    notes, plain = Path(sys.argv[1]), uvloop.run

    def with_beat(serve: Coroutine[Any, Any, Any], **more: Any) -> Any:
        async def both() -> Any:
            beating = asyncio.ensure_future(beat(notes))
            try:
                return await serve
            finally:
                beating.cancel()

        return plain(both(), **more)

    uvloop.run = with_beat
    serving.become_server = lambda wish: sys.exit(serving.serve(wish, take_environ()))  # type: ignore[assignment]
    run(sys.argv[2:])


if __name__ == "__main__":
    main()
