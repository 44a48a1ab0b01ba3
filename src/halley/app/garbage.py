"""Python's search for garbage cycles, set for a server.

As Python sets it, it took a tenth of the CPU time of a prediction: each time looking through thousands of objects that
stay (docs/decisions/0023-cost-of-a-lifecycle.md).
"""

import gc
from typing import Final

YOUNG_OBJECTS: Final = 10_000  # new ones since the last search; some 2 MB


def spare_what_stays() -> None:
    """Look no more at what was made until now: most of it stays until the process ends."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
