"""Objects from the start are never scanned again, and collections start later than by Python's default."""

import subprocess
import sys

LOOK = """
import gc
from halley.app.garbage import YOUNG_OBJECTS, spare_what_stays
before = len(gc.get_objects())
spare_what_stays()
print(gc.get_freeze_count() >= before / 2, gc.get_threshold()[0] == YOUNG_OBJECTS, gc.isenabled())
"""


def test_what_stays_is_spared_and_cycles_are_still_found():
    # a process of its own: this would change the whole test run
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "True"]
