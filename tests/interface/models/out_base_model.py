from typing import Optional

from cog import BaseModel, BaseRunner, Path


class Output(BaseModel):
    text: str
    file: Path
    score: Optional[float] = None


class Runner(BaseRunner):
    def run(self) -> Output:
        file = Path("/tmp/halley-interface-model.txt")
        file.write_text("hello")
        return Output(text="a", file=file)
