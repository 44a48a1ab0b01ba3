import dataclasses
import pathlib


@dataclasses.dataclass
class Made:
    name: str
    file: pathlib.Path
    tags: list = dataclasses.field(default_factory=list)


def run() -> Made:
    file = pathlib.Path("/tmp/halley-interface-dataclass.txt")
    file.write_text("hello")
    return Made(name="a", file=file)
