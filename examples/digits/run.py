"""Which digit is on a picture?"""

import numpy as np
from cog import BaseModel, BaseRunner, Input, Path
from features import features


class Output(BaseModel):
    digit: int
    probabilities: list[float]
    """One for each digit from 0 to 9; together they are 1."""


class Runner(BaseRunner):
    def setup(self, weights: Path | None = None) -> None:
        """Take the weights of a training; without any, learn anew, which takes a second."""
        if weights is None:
            from train import fit  # scikit-learn is needed for this only

            learned, _ = fit()
        else:
            with np.load(weights) as file:
                learned = {name: file[name] for name in ("coefficients", "offsets")}
        self.coefficients, self.offsets = learned["coefficients"], learned["offsets"]

    def run(
        self,
        image: Path = Input(description="One digit, dark on light or light on dark", accept=["image/*"]),
    ) -> Output:
        """Read the digit."""
        scores = (features(image) @ self.coefficients.T + self.offsets)[0]
        shares = np.exp(scores - scores.max())
        shares /= shares.sum()
        self.record_metric("confidence", float(shares.max()))
        return Output(digit=int(shares.argmax()), probabilities=[round(float(share), 4) for share in shares])
