"""demo/text: a word trigram model that learns, while it is set up, from the text of Python's language reference."""

import random
import time
from collections.abc import Iterator
from itertools import islice, pairwise

from cog import BasePredictor, ConcatenateIterator, Input
from corpus import read_paragraphs

PARAGRAPH = "\n\n"
"""The token between two paragraphs."""

SLICE_SECONDS = 0.02
"""A delay is slept in pieces of this length, so that a cancel is noticed inside it."""


class Predictor(BasePredictor):
    def setup(self) -> None:
        """Learn which words follow each pair of words, and each single word."""
        words: list[str] = []
        for paragraph in read_paragraphs():
            words.append(PARAGRAPH)
            words.extend(paragraph.split())
        self.words = words
        self.after_pair: dict[tuple[str, str], list[str]] = {}
        for first, second, third in zip(words, words[1:], words[2:], strict=False):
            pair = (first, second)
            if pair in self.after_pair:
                self.after_pair[pair].append(third)
            else:
                self.after_pair[pair] = [third]
        self.after_word: dict[str, list[str]] = {}
        for first, second in pairwise(words):
            if first in self.after_word:
                self.after_word[first].append(second)
            else:
                self.after_word[first] = [second]
        print(f"Learned {len(words):,} words in {len(self.after_pair):,} contexts.")

    def predict(
        self,
        prompt: str = Input(description="The beginning of a text.", max_length=20_000),
        max_tokens: int = Input(description="How many tokens to write.", default=60, ge=1, le=4096),
        seed: int | None = Input(
            description="The same prompt and seed give the same text. Left out, it is drawn.", default=None
        ),
        delay: float = Input(description="Seconds to wait before each token.", default=0.0, ge=0.0, le=5.0),
    ) -> ConcatenateIterator[str]:
        """Continue the prompt, token by token; the pieces join to one text."""
        if seed is None:
            seed = random.SystemRandom().randrange(2**32)
        print(f"Using seed: {seed}")
        self.record_metric("input_token_count", len(prompt.split()))
        began, written = time.perf_counter(), 0
        try:
            for piece in islice(self._continue(prompt, random.Random(seed)), max_tokens):
                sleep_for(delay)
                if not written:
                    self.record_metric("time_to_first_token", round(time.perf_counter() - began, 6))
                written += 1
                yield piece
        finally:  # a canceled text reports its metrics, too
            took = max(time.perf_counter() - began, 1e-6)
            self.record_metric("output_token_count", written)
            self.record_metric("tokens_per_second", round(written / took, 3))

    def _continue(self, prompt: str, rng: random.Random) -> Iterator[str]:
        """Tokens without end, each with the space that belongs before it."""
        before, last = [PARAGRAPH, PARAGRAPH, *prompt.split()][-2:]
        joins = not prompt or prompt[-1].isspace()
        while True:
            token = self._next(before, last, rng)
            if token == PARAGRAPH or joins:
                yield token
            else:
                yield " " + token
            joins = token == PARAGRAPH
            before, last = last, token

    def _next(self, before: str, last: str, rng: random.Random) -> str:
        """A word that was seen after these two; else after the last one; else at the start of a paragraph."""
        if last == PARAGRAPH:
            return rng.choice(self.after_word[PARAGRAPH])
        for known in (
            self.after_pair.get((before, last)),
            self.after_word.get(last),
            self.after_word.get(last.lower()),
        ):
            if known:
                return rng.choice(known)
        return rng.choice(self.words[1:]) if rng.random() < 0.5 else rng.choice(self.after_word[PARAGRAPH])


def sleep_for(seconds: float) -> None:
    """Sleep in short pieces: a request to cancel is noticed between two of them."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, SLICE_SECONDS))
