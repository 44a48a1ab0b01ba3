"""Reads a time that a person or a client wrote."""

from datetime import UTC, datetime


def read_instant(text: str) -> datetime:
    """An ISO 8601 time, in UTC; without an offset it is UTC.

    Raises:
        ValueError, OverflowError: it is not a time.
    """
    # every decoder reads a plus sign in a query as a space
    at = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text.strip())
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
