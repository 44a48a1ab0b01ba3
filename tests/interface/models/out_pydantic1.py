from typing import List, Optional

from pydantic.v1 import BaseModel


class Made(BaseModel):
    name: str
    tags: List[str] = []
    other: Optional[int]


def run() -> Made:
    return Made(name="a", tags=["b"])
