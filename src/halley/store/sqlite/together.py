"""Creates and ends that follow each other in a transaction are written by a few statements for all of them.

Only usual ones: the rest is run one by one, in its place. Where the database is not as expected, an error undoes the
transaction, and the writer runs its operations one by one.
"""

from collections.abc import Mapping
from typing import Final

from halley.store.sqlite.predictions import create_one
from halley.store.sqlite.queue import finish_one
from halley.store.sqlite.usual_creates import create_many
from halley.store.sqlite.usual_ends import finish_many
from halley.store.sqlite.writer import ManyOf, Operation

TOGETHER: Final[Mapping[Operation, ManyOf]] = {create_one: create_many, finish_one: finish_many}
"""For the writer."""
