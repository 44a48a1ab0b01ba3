"""The composition root: settings in, running server out.

Only this package imports from all layers. `serving` owns start and stop, `services` builds and connects, `models`
brings the configured models into the catalog.
"""

from halley.app.serving import ServerStarted, run_server

__all__ = ["ServerStarted", "run_server"]
