"""A conversation with the oldest trick of the trade: give people back what they said. Streamed, a word at a time."""

import asyncio
import random
import re
import time

from cog import AsyncConcatenateIterator, BaseRunner, Input, concurrent, current_scope, streaming

TURNED = {
    "am": "are", "are": "am", "i": "you", "i'm": "you're", "me": "you", "mine": "yours", "my": "your",
    "myself": "yourself", "was": "were", "you": "I", "you're": "I'm", "your": "my", "yours": "mine",
    "yourself": "myself",
}  # fmt: skip

# What is looked for, and what may be answered; {0} is the rest of the sentence, turned around.
ANSWERS = [
    (r"\bi (?:need|want) (.+)", ["Why do you want {0}?", "Suppose you had {0}. What then?"]),
    (r"\bi(?:'m| am) (.+)", ["How long have you been {0}?", "What is it like to be {0}?"]),
    (r"\b(?:can|could|will) you (.+)", ["What if I could not {0}?", "You would like me to {0}?"]),
    (r"\bbecause (.+)", ["Is that the only reason?", "If it were not so that {0}, what would change?"]),
    (r"\b(?:hello|hi|hey)\b()", ["Hello. What is on your mind?", "Good to see you. How are things?"]),
    (r"\?\s*$()", ["What do you think yourself?", "Why do you ask?"]),
    (r"()", ["Tell me more.", "I see. And how did that begin?", "What comes to your mind when you say so?"]),
]


class Runner(BaseRunner):
    async def setup(self) -> None:
        """Compile the patterns once."""
        self.answers = [(re.compile(pattern, re.IGNORECASE), texts) for pattern, texts in ANSWERS]

    @streaming
    @concurrent(max=64)
    async def run(
        self,
        prompt: str = Input(description="What you say", max_length=10_000),
        seed: int = Input(
            description="The same prompt and seed give the same answer; left out, it is drawn", default=None
        ),
        delay: float = Input(description="Seconds between two words", default=0.0, ge=0, le=2),
    ) -> AsyncConcatenateIterator[str]:
        """Answer, word by word."""
        scope, began = current_scope(), time.perf_counter()
        scope.record_metric("input_token_count", len(prompt.split()))
        for number, word in enumerate(self.answer(prompt, random.Random(seed)).split()):
            if number == 0:
                scope.record_metric("time_to_first_token", time.perf_counter() - began)
            else:
                await asyncio.sleep(delay)  # others run meanwhile, and a cancel takes effect here
            scope.record_metric("output_token_count", 1, mode="incr")
            yield word if number == 0 else f" {word}"

    def answer(self, prompt: str, chance: random.Random) -> str:
        """The first pattern that fits decides; the last one always does."""
        found, texts = next((found, texts) for pattern, texts in self.answers if (found := pattern.search(prompt)))
        return chance.choice(texts).format(turned(found.group(1)))


def turned(text: str) -> str:
    """The same from the other side: "my cat" as "your cat"."""
    return " ".join(TURNED.get(word.lower(), word) for word in text.rstrip(" .!?").split())
