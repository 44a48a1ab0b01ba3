"""A model with 200 inputs, among them names that JavaScript objects have by themselves."""

import inspect

from cog import BasePredictor, Input

ODD = (
    "__proto__",
    "constructor",
    "toString",
    "hasOwnProperty",
    "valueOf",
    "then",
    "length",
    "name",
    "action",
    "submit",
)


class Predictor(BasePredictor):
    def predict(self, **given):
        """Say how many inputs came."""
        return f"{len(given)} inputs"


def _inputs():
    for number in range(200):
        name = ODD[number] if number < len(ODD) else f"input_{number}"
        kind = (str, int, float, bool)[number % 4]
        yield inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=Input(description=f"The input {number}.", default=kind()),
            annotation=kind,
        )


Predictor.predict.__signature__ = inspect.Signature(
    [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD), *_inputs()], return_annotation=str
)
Predictor.predict.__annotations__ = {one.name: one.annotation for one in _inputs()} | {"return": str}
