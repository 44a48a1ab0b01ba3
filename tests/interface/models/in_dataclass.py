import dataclasses
import enum


class Mode(enum.Enum):
    FAST = "fast"


@dataclasses.dataclass
class Work:
    text: str
    seed: "int | None"
    mode: Mode = Mode.FAST
    times: int = 1


def run(work: Work) -> str:
    return f"{work.mode.name} {work.seed} {work.text * work.times}"
