"""What takes a worker's reports in a process that has no maintainer.

The worker does not offer what could not run in it. So what waits for a version that can run nowhere is ended by the
maintainer, after the time that it gives workers to offer a version.
"""

import logging
from typing import Final

_log: Final = logging.getLogger(__name__)


class NoMaintainerHere:
    """Fulfils `dispatch.ports.UnrunnableReports`: the reason is in the log of this process only."""

    def unknown(self, version: str) -> None:
        del version

    def broken(self, version: str, error: str, reason: str) -> None:
        _log.error("version %s cannot run in this process (%s): %s", version, reason, error)
