from typing import Dict, List

from cog import BaseModel


class Word(BaseModel):
    text: str
    at: List[float] = []


class Segment(BaseModel):
    words: List[Word]
    by_name: Dict[str, Word]


def run() -> List[Segment]:
    word = Word(text="a", at=[0.5])
    return [Segment(words=[word, Word(text="b")], by_name={"a": word})]
