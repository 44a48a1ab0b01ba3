"""The real command with a bus that loses every hint: python deaf.py serve ARGUMENTS..."""

import sys

from halley.bus.local import LocalBus
from halley.cli import serving
from halley.cli.main import main
from halley.predictions.ports import Hint


def lose(_bus: LocalBus, _hint: Hint) -> None:
    """Nobody hears of it."""


if __name__ == "__main__":
    LocalBus.publish = lose  # type: ignore[method-assign]
    serving.become_server = lambda wish: sys.exit(serving.serve(wish))  # another process would hear
    main()
