import dataclasses

from cog import BaseModel


@dataclasses.dataclass
class Made(BaseModel, auto_dataclass=False):
    name: str


def run() -> Made:
    return Made("a")
