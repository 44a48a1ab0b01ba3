import tempfile

import pytest


@pytest.fixture(autouse=True, scope="module")
def folder_for_outputs(tmp_path_factory):
    """Models write where `tempfile` says: let that be a folder of the test's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("outputs")))
        yield
