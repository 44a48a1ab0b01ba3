"""The composition root: settings in, running server out.

Only this package imports from all layers. `serving` handles start and stop, `services` builds and connects the parts of
each role, `background` lists the services beside the server, `models` loads the configured models into the catalog.
"""

from halley.app.serving import run_server
from halley.app.start import ServeOptions, ServerStarted

__all__ = ["ServeOptions", "ServerStarted", "run_server"]
