"""A model that puts hostile texts wherever a model can put texts."""

import sys
import time
from typing import Any, List

from attempts import ATTEMPTS, SHORT, all_of_them
from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def setup(self):
        print(all_of_them("replica-log"), flush=True)

    def predict(
        self,
        prompt: str = Input(description=all_of_them("description"), default="x"),
        how: str = Input(
            description="How it ends.", default="texts", choices=["texts", "fail", "files", "json", "slow", *SHORT]
        ),
        preset: str = Input(description="A hostile preset.", default=all_of_them("default")),
        pattern: str = Input(description="A rule.", default="", regex="^[^\\n]*$"),
        __proto__: str = Input(description="A name that JavaScript knows.", default=SHORT[0]),
        constructor: int = Input(description="Another one.", default=1, ge=0, le=10),
        long_name_that_nobody_would_ever_type_but_a_generator_might_well_write_into_a_schema: bool = False,
    ) -> Any:
        """mark-docstring <script>probe('docstring')</script>"""
        print(all_of_them("log"), flush=True)
        print("x" * 3000, flush=True)  # a line that no screen can hold
        sys.stderr.write(" 50%|<script>probe('progress')</script>#####     | 10/20\n")
        if how == "fail":
            raise ValueError(all_of_them("error"))
        if how == "slow":
            for number in range(40):
                print(f"{number} {ATTEMPTS[number]}", flush=True)
                time.sleep(0.05)
        if how == "files":
            return self.files()
        if how == "json":
            return {one: {"mark-output-key": other} for one, other in zip(ATTEMPTS, reversed(ATTEMPTS))}
        return [all_of_them("output"), prompt]

    def files(self) -> List[Path]:
        """Files with hostile names and hostile content."""
        found = []
        for number, (name, content) in enumerate(
            (
                ("mark-file <img src=x onerror=probe(1)>.png", "not a picture <script>probe('png')</script>"),
                ('page"><svg onload=probe(2)>.html', "<script>top.probe('html')</script>"),
                ("'onerror='probe(3).svg", "<svg xmlns='http://www.w3.org/2000/svg' onload='probe(4)'/>"),
                ("\u202egnp.exe", "x"),
                ("x" * 200 + ".txt", "x"),
            )
        ):
            path = Path(f"out-{number}") / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
            found.append(path)
        return found
