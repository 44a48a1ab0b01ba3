from typing import Iterator

from cog import BaseModel


class Step(BaseModel):
    number: int


def run() -> Iterator[Step]:
    for number in range(2):
        yield Step(number=number)
