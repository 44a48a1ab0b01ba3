"""Inputs and outputs of each kind, for the schema."""

import enum
from typing import Any, Dict, Iterator, List, Literal, Optional, Tuple, Union

import cog
from cog import BaseModel, BasePredictor, ConcatenateIterator, File, Input, Path, Secret


class Paint(BasePredictor):
    """As picture models in the field look."""

    def predict(
        self,
        prompt: str = Input(description="What to paint", min_length=1, max_length=500, regex="^[^<]*$"),
        image: Optional[Path] = Input(description="Begin with this", default=None),
        width: int = Input(default=512, ge=64, le=2048),
        guidance_scale: float = Input(default=7.5, ge=1),
        scheduler: str = Input(description="How", choices=["DDIM", "K_EULER"], default="DDIM"),
        num_outputs: int = Input(choices=[1, 4], default=1),
        safe: bool = True,
        seed: int = Input(default=None, deprecated=True),
        api_key: Secret = None,
    ) -> List[Path]:
        return []


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Member(BaseModel):
    file: Path
    score: Optional[float] = None


class Everything(BaseModel):
    name: str
    members: List[Member] = []
    colour: Colour = Colour.RED


def rare(
    anything: Any,
    table: dict,
    counts: Dict[str, int],
    words: List[str] = Input(default=["a"], min_length=1),
    level: Literal[1, 2] = 1,
    colour: Colour = Colour.RED,
    either: Union[int, str] = 3,
    newer: "int | None" = None,
    pair: Tuple[int, str] = (1, "a"),
    flags: List[Literal["x", "y"]] = None,
    document: File = None,
    Output: str = Input(default="a", choices=["a", "b"]),
) -> Everything:
    return Everything(name="x")


def text() -> ConcatenateIterator[str]:
    yield "x"


@cog.streaming
def pictures() -> Iterator[Path]:
    yield Path("x")


def optional() -> Optional[str]:
    return None


def nothing() -> None:
    return None


def unknown(thing: "Missing", other: type(lambda: 0) = None) -> int:  # noqa: F821
    return 1


@cog.concurrent(max=3)
async def concurrent() -> int:
    return 1
