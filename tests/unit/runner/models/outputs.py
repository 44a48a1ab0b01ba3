"""Outputs of every kind."""

import dataclasses
import datetime
import enum
import io
import os
import pathlib
import tempfile
from typing import Any, AsyncIterator, Dict, Iterator, List, Optional

import cog
from cog import BaseModel, ConcatenateIterator, Path


class Colour(enum.Enum):
    RED = "red"


class Scalar:
    """As NumPy's numbers behave."""

    def item(self):
        return 7


class Array:
    def tolist(self):
        return [[1, 2], [3, 4]]


@dataclasses.dataclass
class Point:
    x: int
    y: Optional[float] = None


class Report(BaseModel):
    title: str
    picture: Path
    notes: List[str] = []
    score: float


VALUES = {
    "null": lambda: None,
    "nested": lambda: {"a": [1, 2.5, True, None, "é"], 3: (1, {2})},
    "enum": lambda: Colour.RED,
    "scalar": Scalar,
    "array": lambda: {"vectors": Array()},
    "dataclass": lambda: Point(1),
    "date": lambda: datetime.date(2026, 1, 2),
    "generator": lambda: (n for n in range(3)),
    "nan": lambda: {"loss": [1.0, float("nan")]},
    "infinity": lambda: float("inf"),
    "bytes": lambda: b"raw",
    "object": lambda: [object()],
    "secret": lambda: {"key": cog.Secret("s3cret")},
    "surrogate": lambda: "half \ud83d pair",
    "badkey": lambda: {(1, 2): 3},
    "text": lambda: "/etc/passwd",
}


def value(kind: str) -> Any:
    return VALUES[kind]()


def circle() -> Any:
    ring: List[Any] = []
    ring.append(ring)
    return ring


def huge(size: int) -> str:
    return "x" * size


def nothing() -> None:
    print("nothing to say")


def _written(text: str, name: str = "out.txt") -> str:
    path = os.path.join(tempfile.mkdtemp(), name)
    with open(path, "w") as file:
        file.write(text)
    return path


def file() -> Path:
    return Path(_written("hello"))


def many() -> Dict[str, Any]:
    return {"first": Path(_written("1")), "rest": [pathlib.Path(_written("2")), "plain"], "open": open(_written("3"))}


def report() -> Report:
    return Report(title="t", picture=Path(_written("pixels", "p.png")), score=0.5)


def in_memory() -> cog.File:
    return io.BytesIO(b"bytes in memory")


def temporary() -> cog.File:
    handle = tempfile.NamedTemporaryFile()
    handle.write(b"gone when closed")
    return handle


def missing() -> Path:
    return Path("/nowhere/out.png")


def folder() -> Path:
    return Path("/tmp")


def same_file(count: int) -> Iterator[Path]:
    path = _written("")
    for number in range(count):
        with open(path, "w") as out:
            out.write(str(number))
        yield Path(path)


def pieces(count: int) -> ConcatenateIterator[str]:
    for number in range(count):
        print("before", number)
        yield "%d " % number


def listed(count: int) -> Iterator[int]:
    return [number for number in range(count)]


async def async_pieces(count: int) -> cog.AsyncConcatenateIterator[str]:
    for number in range(count):
        print("before", number)
        yield "%d " % number


async def async_list(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


def breaks_off() -> Iterator[int]:
    yield 1
    raise ValueError("enough")


def breaks_at_once() -> Iterator[int]:
    raise ValueError("none at all")
    yield 1


def bad_item() -> Iterator[Any]:
    yield 1
    yield object()


def yields_unannounced():
    yield 1
    yield 2
