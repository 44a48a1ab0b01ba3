"""What a test needs from the machine: `require` it, by one rule for everybody."""

import os
from typing import Final

import pytest

ON_CI: Final = os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def require(condition: object, reason: str) -> None:
    """Go on if the condition holds; otherwise skip here, and fail under CI=true.

    A user without Node.js sees a skip with its reason; the build machine must have everything, so that no test can
    fall asleep there. May be called in a test, in a fixture or at the top of a module.
    """
    if condition:
        return
    if ON_CI:
        pytest.fail(f"missing on the build machine: {reason}", pytrace=False)
    pytest.skip(reason, allow_module_level=True)
