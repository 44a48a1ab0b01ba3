"""Finds models by words: by name first, then by owner and description. Not part of the contract."""

import asyncio
from collections.abc import Sequence
from typing import Final

from halley.models.records import Model

_LONGEST: Final = 500  # characters of a query; the rest is ignored
_MOST_WORDS: Final = 20
_AT_ONCE: Final = 100  # models; with many words these take a millisecond or two


async def ranked(models: Sequence[Model], text: str) -> list[tuple[Model, float]]:
    """The models that match at least one word, best first, with a score from 0 to 1; all models if the text has no
    word. Other tasks run in between.
    """
    words = text[:_LONGEST].casefold().replace("/", " ").split()[:_MOST_WORDS]
    fitting: list[tuple[Model, float]] = []
    for start in range(0, len(models), _AT_ONCE):
        scored = [(model, _score(model, words)) for model in models[start : start + _AT_ONCE]]
        fitting += [one for one in scored if one[1] > 0]
        await asyncio.sleep(0)
    return sorted(fitting, key=lambda one: (-one[1], one[0].full_name))


def _score(model: Model, words: list[str]) -> float:
    if not words:
        return 1.0
    name, owner, description = model.name.casefold(), model.owner.casefold(), (model.description or "").casefold()
    return round(sum(_weight(word, name, owner, description) for word in words) / len(words), 3)


def _weight(word: str, name: str, owner: str, description: str) -> float:
    if word == name:
        return 1.0
    if word in name:
        return 0.8
    if word == owner:
        return 0.6
    return 0.4 if word in description else 0.0
