"""Does work on a heavy form in a thread, so that the requests of others are served meanwhile."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from anyio import CapacityLimiter, to_thread

R = TypeVar("R")
_ONE_AT_A_TIME: Final = CapacityLimiter(1)  # each needs a multiple of its memory for a moment


async def apart(is_heavy: bool, work: Callable[..., R], *args: Any) -> R:
    """What the work gives. What is not heavy is done at once."""
    return await to_thread.run_sync(work, *args, limiter=_ONE_AT_A_TIME) if is_heavy else work(*args)
