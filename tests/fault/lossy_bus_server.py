"""The real command with a bus that loses every hint: python lossy_bus_server.py serve ARGUMENTS..."""

import sys

from halley.app import foundation
from halley.cli import serving
from halley.cli.main import main
from halley.testing.bus import LossyBus

if __name__ == "__main__":
    foundation.LocalBus = LossyBus  # type: ignore[misc,assignment]
    serving.become_server = lambda wish: sys.exit(serving.serve(wish))  # another process would hear
    main()
