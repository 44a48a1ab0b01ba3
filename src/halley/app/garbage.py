"""Configures Python's cyclic garbage collection for a server.

With Python's defaults it took a tenth of the CPU time of a prediction: each collection traversed thousands of objects
that stay (docs/decisions/0021-cost-of-a-lifecycle.md).
"""

import gc
from typing import Final

YOUNG_OBJECTS: Final = 10_000  # new objects since the last collection; some 2 MB


def spare_what_stays() -> None:
    """Exclude all present objects from later collections: most of them stay until the process ends."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
