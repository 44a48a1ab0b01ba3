"""Works on heavy forms in a thread, so that other requests are served meanwhile."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from anyio import CapacityLimiter, to_thread

R = TypeVar("R")
_ONE_AT_A_TIME: Final = CapacityLimiter(1)  # each needs a multiple of its memory for a moment


async def offload_if_heavy(is_heavy: bool, work: Callable[..., R], *args: Any) -> R:
    """The result of `work`, which runs in a thread if the form is heavy, and otherwise at once."""
    return await to_thread.run_sync(work, *args, limiter=_ONE_AT_A_TIME) if is_heavy else work(*args)
