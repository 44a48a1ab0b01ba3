from typing import Optional

from pydantic.v1 import BaseModel


class Work(BaseModel):
    steps: int
    name: Optional[str] = None


def run(work: Work) -> str:
    return f"{type(work).__name__} {work.steps} {work.name}"
