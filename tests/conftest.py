"""What all tests share. `require` is here for `from conftest import require`, too."""

import os
import signal

import pytest

from needs import require

__all__ = ["require"]


def pytest_configure() -> None:
    """Forget the user's own settings: a test that wants one sets it."""
    for name in list(os.environ):
        if name.startswith(("HALLEY_", "REPLICATE_")):
            del os.environ[name]
    # `nohup` and a shell's `&` start us with these ignored, and what we start would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests, marked `anyio`, run on asyncio: the only loop we promise."""
    return "asyncio"
