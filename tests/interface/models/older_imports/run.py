"""Names at the places where older and newer versions of Cog keep them, as public models import them."""

import time

import cog
from cog.base_predictor import BasePredictor
from cog.errors import CogError
from cog.exceptions import CancelationException as Newer
from cog.input import Input as FromInput
from cog.predictor import BasePredictor as FromPredictor
from cog.server.exceptions import CancelationException
from cog.server.scope import current_scope
from cog.types import ConcatenateIterator, ExperimentalFeatureWarning, File, Path, Secret, URLPath


def run(text: str = FromInput(default="")) -> str:
    assert CancelationException is Newer is cog.CancelationException
    assert BasePredictor is FromPredictor is cog.BasePredictor
    assert Path is cog.Path and issubclass(ExperimentalFeatureWarning, Warning) and issubclass(CogError, Exception)
    current_scope().record_metric("seen", 1)
    if text == "wait":
        try:
            print("waiting")
            time.sleep(30)
        except CancelationException:
            print("cleaned up")
            raise
    return "all there"
