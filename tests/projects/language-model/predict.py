import random
import time
import typing as tp

from cog import BasePredictor, ConcatenateIterator, Input

from config import DEFAULT_MAX_TOKENS, MODEL_NAME
from subclass import Sampler


class Predictor(BasePredictor):
    def setup(self, weights: tp.Optional[str] = None):
        self.sampler = Sampler.from_pretrained(MODEL_NAME)

    def predict(
        self,
        prompt: str = Input(description="Prompt to send to the model."),
        max_tokens: int = Input(ge=1, default=DEFAULT_MAX_TOKENS),
        temperature: float = Input(description="Randomness of outputs", ge=0.01, le=5, default=0.75),
        stop_sequences: str = Input(description="A comma-separated list of sequences", default=None),
        seed: int = Input(default=None, ge=0),
        debug: bool = Input(description="provide debugging output in logs", default=False),
    ) -> ConcatenateIterator[str]:
        random.seed(seed)
        st = time.time()
        for n, token in enumerate(self.sampler.generate(prompt, max_tokens)):
            yield token
            if debug:
                print(f"token {n}: {token!r}")
        print(f"after generation: {time.time() - st >= 0}")
