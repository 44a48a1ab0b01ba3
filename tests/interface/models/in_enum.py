import enum


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(str, enum.Enum):
    BIG = "big"


def run(colour: Colour, size: Size = Size.BIG) -> str:
    return f"{colour.name} {size.name}"
