"""A model that gives more than a page can hold: files, text, or lines of log."""

from typing import Any

from cog import BasePredictor, Input, Path

LINE = "the quick brown fox jumps over the lazy dog; " * 2 + "\n"


class Predictor(BasePredictor):
    def predict(
        self,
        files: int = Input(default=0, ge=0, le=20_000),
        text_bytes: int = Input(default=0, ge=0),
        log_bytes: int = Input(default=0, ge=0),
    ) -> Any:
        """Give so many files, a text of so many bytes, and a log of so many bytes."""
        for _ in range(log_bytes // len(LINE)):
            print(LINE, end="")
        if files:
            return [self.file(number) for number in range(files)]
        return LINE * (text_bytes // len(LINE)) if text_bytes else "done"

    def file(self, number):
        path = Path(f"file-{number}.txt")
        path.write_text(str(number))
        return path
