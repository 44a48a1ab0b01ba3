"""Secret inputs, which the API does not show."""

from typing import Any, Final

HIDDEN: Final = "[REDACTED]"
"""What the API shows instead of each secret."""


def hidden_names(members: Any) -> tuple[str, ...]:
    """The inputs whose values the API does not show."""
    return tuple(name for name, value in members.items() if value == HIDDEN) if isinstance(members, dict) else ()
