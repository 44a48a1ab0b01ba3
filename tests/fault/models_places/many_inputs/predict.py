"""Takes many kinds of input and gives out text and a file."""

from cog import BaseModel, BaseRunner, Input, Path

from downloading import linger


class Output(BaseModel):
    text: str
    picture: Path


class Runner(BaseRunner):
    def run(
        self, prompt: str, tags: list[str] = Input(default=["t"]), n: int = 1, extra: dict = Input(default=None)
    ) -> Output:
        picture = Path("o.txt")
        picture.write_text(prompt)
        linger()
        return Output(text=prompt, picture=picture)
