"""Secret inputs, which the API does not show."""

from typing import Any, Final

HIDDEN: Final = "[REDACTED]"
"""What it shows instead of each."""


def hidden_names(members: Any) -> tuple[str, ...]:
    """The inputs that it does not show."""
    return tuple(name for name, value in members.items() if value == HIDDEN) if isinstance(members, dict) else ()
