"""A full disk, told in our words."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from halley.errors import StorageFull

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def full_disk_told() -> Iterator[None]:
    """Raise StorageFull where the system says that there is no room; other errors pass unchanged."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageFull(
                "The disk of the data folder has no room left. Free some space, or move the data to a larger disk."
            ) from error
        raise
