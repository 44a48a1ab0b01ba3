"""Inputs of every kind, told back."""

import enum
from typing import Any, Dict, List, Literal, Optional

from cog import BasePredictor, File, Input, Path, Secret


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Kinds(BasePredictor):
    def predict(
        self,
        number: float = 1.5,
        count: int = Input(default=3, ge=1, le=10),
        flag: bool = False,
        words: List[str] = Input(default=["a", "b"]),
        size: Size = Size.SMALL,
        mode: Literal["fast", "good"] = "fast",
        maybe: Optional[int] = None,
        seed: int = Input(default=None),
        anything: Any = None,
        table: Dict[str, int] = None,
    ) -> List[str]:
        words.append("c")
        given = [number, count, flag, words, size, mode, maybe, seed, anything, table]
        return ["%s %r" % (type(value).__name__, value) for value in given]


def required(text: str, other: str = Input()) -> str:
    return text + other


def secret(key: Secret, keys: List[Secret] = None) -> int:
    print("key is", key, repr(key), keys)
    return len(key.get_secret_value())


def path(image: Path, more: List[Path] = None, extra: Any = None) -> List[str]:
    return ["%s %s" % (type(value).__name__, value) for value in [image, *(more or []), extra]]


def file(document: File) -> str:
    with document:
        return document.read().decode()


def keywords(text: str, **others: Any) -> Dict[str, Any]:
    return dict(others, text=text)


def plain(a, b=2):
    return [a, b]
