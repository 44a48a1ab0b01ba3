"""Every form that a predictor may take."""

import os

from cog import BasePredictor, BaseRunner, Path


class Runner(BaseRunner):
    def setup(self):
        self.word = "run"

    def run(self, text: str) -> str:
        return self.word + " " + text


class Predictor(BasePredictor):
    def predict(self, text: str) -> str:
        return "predict " + text


class Both(BaseRunner):
    def run(self, text: str) -> str:
        return "run " + text

    def predict(self, text: str) -> str:
        return "predict " + text


class Bare:
    def predict(self, text: str) -> str:
        return "bare " + text


class Static:
    @staticmethod
    def predict(text: str) -> str:
        return "static " + text


class AsyncSetup(BasePredictor):
    async def setup(self):
        self.word = "waited for"

    def predict(self, text: str) -> str:
        return self.word + " " + text


class Weighed(BasePredictor):
    def setup(self, weights: Path = None):
        self.weights = weights

    def predict(self) -> str:
        return "%s %s" % (type(self.weights).__name__, self.weights)


class Nothing:
    pass


not_callable = 3


def function(text: str) -> str:
    return "function " + text


async def async_function(text: str) -> str:
    return "async " + text


def environment(name: str) -> str:
    return os.environ.get(name, "")
