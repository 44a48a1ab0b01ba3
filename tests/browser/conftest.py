"""One browser for all tests of a process, and a server that is furnished with the worst of everything."""

from collections.abc import Iterator

import pytest
from chromium import Chromium, installed
from furnished import Furnished, furnish
from hostile_service import HostileService
from process import Halley

from needs import require


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    require(installed(), "a browser and its driver: scripts/install browser")
    with Chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def furnished(chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Furnished]:
    """Hostile texts at every place that takes a text; predictions in every state."""
    with HostileService() as service:
        home = tmp_path_factory.mktemp("furnished")
        with Halley(home, config=Furnished.config(service, home), environment=Furnished.ENVIRONMENT) as server:
            found = furnish(server, service)
            yield found
            server.call("POST", f"/v1/predictions/{found.predictions['running']}/cancel")  # nobody waits for its end
