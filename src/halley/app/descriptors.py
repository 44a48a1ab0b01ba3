"""The limit of open files: each connection and each waiting client needs one."""

import logging
import resource
from typing import Final

_log: Final = logging.getLogger(__name__)
ENOUGH: Final = 8192  # for 5,000 held requests, 1,000 streams and everything else
_MOST: Final = 2**20  # some systems refuse a limit without end


def raise_limit() -> int:
    """Raise the limit of open files as far as allowed, and warn if it is low. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        wanted = soft
    else:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError) as error:
            _log.warning("the limit of open files stays at %d: %s", soft, error)
            wanted = soft
    if 0 <= wanted < ENOUGH:
        _log.warning(
            "this process may open %d files, so about %d clients may be connected at once; "
            "raise the hard limit (LimitNOFILE= of systemd, or ulimit -Hn) for more",
            wanted,
            max(0, wanted - 100),
        )
    return wanted
