from cog import Path
from pydantic import BaseModel


class Inner(BaseModel):
    score: float


class Made(BaseModel):
    name: str
    inner: Inner
    file: Path


def run() -> Made:
    file = Path("/tmp/halley-interface-pydantic.txt")
    file.write_text("hello")
    return Made(name="a", inner=Inner(score=0.5), file=file)
