"""demo/echo: one input of each simple type; the values are returned unchanged."""

import shutil
import tempfile

from cog import BaseModel, BasePredictor, Input, Path, Secret


class Output(BaseModel):
    text: str
    number: int
    ratio: float
    flag: bool
    choice: str
    items: list[str]
    file: Path | None
    secret_length: int | None


class Predictor(BasePredictor):
    def setup(self) -> None:
        # one folder for the life of the process: each output is copied when it is reported, so names may be used again
        self.folder = tempfile.mkdtemp(prefix="demo-echo-")

    def predict(
        self,
        text: str = Input(description="Any text.", default="hello"),
        number: int = Input(description="A whole number.", default=42),
        ratio: float = Input(description="A number.", default=0.5),
        flag: bool = Input(description="Yes or no.", default=True),
        choice: str = Input(description="One of three.", default="red", choices=["red", "green", "blue"]),
        items: list[str] = Input(description="Any number of texts.", default=["one", "two"]),  # noqa: B008
        file: Path | None = Input(description="A file; its content comes back under the same name.", default=None),  # noqa: B008
        secret: Secret | None = Input(description="Something secret; only its length comes back.", default=None),  # noqa: B008
    ) -> Output:
        """Return every value; for the secret, its length in characters."""
        print(f"secret: {secret}")  # printed as stars
        hidden = None if secret is None else secret.get_secret_value()
        return Output(
            text=text,
            number=number,
            ratio=ratio,
            flag=flag,
            choice=choice,
            items=items,
            file=None if file is None else self._copy(file),
            secret_length=None if hidden is None else len(hidden),
        )

    def _copy(self, file: Path) -> Path:
        copied = Path(self.folder, file.name)
        shutil.copyfile(file, copied)
        return copied
