"""Receives a worker's reports in a process without a maintainer.

The worker stops offering versions that could not run. So the maintainer ends waiting predictions of a version that can
run nowhere, after the time for workers to offer it.
"""

import logging
from typing import Final

_log: Final = logging.getLogger(__name__)


class NoMaintainerHere:
    """Implements `dispatch.ports.UnrunnableReports`: the reason is in the log of this process only."""

    def unknown(self, version: str) -> None:
        del version

    def broken(self, version: str, error: str, reason: str) -> None:
        _log.error("version %s cannot run in this process (%s): %s", version, reason, error)
