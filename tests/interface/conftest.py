"""One server for all predictors; it runs every case once, before the first of them is looked at."""

from collections.abc import Iterator

import pytest
from process import Halley

from interface.serving import Served, folder_or_file, predictors


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    cases = predictors()
    config = "".join(f'[models."interface/{name}"]\npath = "{folder_or_file(name)}"\n' for name in cases)
    with Halley(tmp_path_factory.mktemp("interface"), "--no-demo", config=config) as halley:
        found = Served(halley)
        found.run(cases)
        yield found
