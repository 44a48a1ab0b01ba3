"""What takes a worker's reports in a process that has no maintainer."""

import logging
from typing import Final

_log: Final = logging.getLogger(__name__)


class NoMaintainerHere:
    """Fulfils `dispatch.ports.UnrunnableReports`: the maintainer of another process goes by what sessions offer."""

    def unknown(self, version: str) -> None:
        del version

    def broken(self, version: str, error: str, reason: str) -> None:
        _log.error("version %s cannot run in this process (%s): %s", version, reason, error)
