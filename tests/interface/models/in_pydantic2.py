from pydantic import BaseModel, Field


class Inner(BaseModel):
    names: list[str] = []


class Work(BaseModel):
    steps: int = Field(ge=1)
    seed: int | None
    inner: Inner = Inner()


def run(work: Work) -> str:
    return f"{work.steps} {work.seed} {work.inner.names}"
