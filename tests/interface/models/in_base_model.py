from typing import List

from cog import BaseModel


class Point(BaseModel):
    x: int
    y: int = 0


class Line(BaseModel):
    points: List[Point]
    name: str = "line"


def run(line: Line) -> str:
    return f"{line.name} {sum(point.x + point.y for point in line.points)}"
