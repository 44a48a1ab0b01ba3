"""What painters need: gradients, glows, noise, ridgelines, and the picture that they are laid onto.

Everything runs in Pillow's own loops; Python only touches one row, one column or one outline at a time.
"""

import math
import random
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from colour import RGB, mix
from palette import Palette
from PIL import Image, ImageChops, ImageDraw
from words import Scene

Size = tuple[int, int]
Point = tuple[float, float]

FINE = 2
"""Outlines are drawn this many times larger and then reduced, which smooths their edges."""


@dataclass
class Picture:
    """A picture in the making, with what its painters agree on."""

    image: Image.Image
    scene: Scene
    palette: Palette
    rng: random.Random
    horizon: int
    """The row where the sky ends."""
    light_at: Point
    light_radius: float

    @property
    def size(self) -> Size:
        return self.image.size

    @property
    def unit(self) -> float:
        """The length that sizes of things are relative to: a square picture's side."""
        return math.sqrt(self.image.width * self.image.height)

    @property
    def light_shows(self) -> bool:
        """Whether there is a sun or moon in the sky: a night of stars, aurora or a comet has none unless asked."""
        extras = self.scene.extras
        return not self.scene.is_night or "moon" in extras or not extras & {"aurora", "comet", "stars"}

    def lay(self, paint: RGB | Image.Image, mask: Image.Image) -> None:
        """Cover the picture with a colour or an image where the mask is white."""
        self.image.paste(paint, (0, 0, *self.size), mask)

    def shine(self, colour: RGB, mask: Image.Image) -> None:
        """Add light of this colour where the mask is white; light never darkens."""
        light = Image.merge("RGB", [mask.point(_scaled(channel)) for channel in colour])
        self.image = ImageChops.screen(self.image, light)


def _scaled(channel: int) -> list[int]:
    return [value * channel // 255 for value in range(256)]


def curve(function: Callable[[float], float]) -> list[int]:
    """A table for `Image.point`: a function from 0..1 to 0..1."""
    return [min(255, max(0, round(255 * function(value / 255)))) for value in range(256)]


def smooth_step(low: float, high: float, top: float = 1.0) -> list[int]:
    """A table that rises from 0 at `low` to `top` at `high` with soft ends; `high` may be below `low`."""

    def step(value: float) -> float:
        t = min(1.0, max(0.0, (value - low) / (high - low)))
        return top * t * t * (3 - 2 * t)

    return curve(step)


def vertical(size: Size, stops: Sequence[tuple[float, RGB]]) -> Image.Image:
    """A gradient from top to bottom; stops are (place 0..1, colour) in rising order."""
    rows = []
    for row in range(size[1]):
        at = row / max(1, size[1] - 1)
        rows.append(_between(stops, at))
    column = Image.frombytes("RGB", (1, size[1]), bytes(channel for row in rows for channel in row))
    return column.resize(size, Image.Resampling.NEAREST)


def _between(stops: Sequence[tuple[float, RGB]], at: float) -> RGB:
    for (start, first), (end, second) in pairwise(stops):
        if at <= end:
            return mix(first, second, min(1.0, max(0.0, (at - start) / max(end - start, 1e-6))))
    return stops[-1][1]


def fade(size: Size, start: float, end: float) -> Image.Image:
    """A mask that goes softly from black at row `start` to white at row `end`; `end` may be above."""
    span = (end - start) or 1e-6
    values = bytearray()
    for row in range(size[1]):
        t = min(1.0, max(0.0, (row - start) / span))
        values.append(round(255 * t * t * (3 - 2 * t)))
    return Image.frombytes("L", (1, size[1]), bytes(values)).resize(size, Image.Resampling.NEAREST)


def radial(size: Size, centre: Point, radius: float, power: float = 2.0, flat: float = 1.0) -> Image.Image:
    """A soft round mask: white in the centre, black from `radius` on; `flat` squeezes its height."""
    # Pillow's gradient is 1 in the corners; in the middle of a side, where our circle ends, it is 1 / sqrt(2)
    table = curve(lambda distance: max(0.0, 1.0 - distance * math.sqrt(2)) ** power)
    wide, high = max(2, round(2 * radius)), max(2, round(2 * radius * flat))
    spot = Image.radial_gradient("L").point(table).resize((wide, high), Image.Resampling.BICUBIC)
    mask = Image.new("L", size)
    mask.paste(spot, (round(centre[0] - wide / 2), round(centre[1] - high / 2)))
    return mask


def noise(rng: random.Random, size: Size, cells: tuple[int, int], octaves: int, gain: float = 0.5) -> Image.Image:
    """Fractal noise: random cells, enlarged softly, finer and weaker octave by octave; middle grey on average."""
    total, weight, picture = 0.0, 1.0, Image.new("L", size, 128)
    for _ in range(octaves):
        cells = (min(cells[0], size[0]), min(cells[1], size[1]))
        # cells of few pixels need no smooth curve between them, and bilinear is twice as fast
        smooth = Image.Resampling.BICUBIC if cells[0] * 8 < size[0] else Image.Resampling.BILINEAR
        layer = Image.frombytes("L", cells, rng.randbytes(cells[0] * cells[1])).resize(size, smooth)
        total += weight
        picture = Image.blend(picture, layer, weight / total)
        weight, cells = weight * gain, (cells[0] * 2, cells[1] * 2)
    return picture.point(curve(lambda value: 0.5 + (value - 0.5) * 1.7))  # averaging took the contrast away


def relief(surface: Image.Image, towards: Point, strength: float) -> Image.Image:
    """Light a surface from one side: middle grey where it is flat, brighter on the side that faces the light."""
    right, down = round(towards[0]), round(towards[1])
    shifted = surface.copy()  # where nothing moves in, the surface meets itself and counts as flat
    shifted.paste(surface, (-right, -down))
    return ImageChops.subtract(surface, shifted, 1 / strength, 128)


def receding(texture: Image.Image, size: Size, eye: float) -> Image.Image:
    """Lay a texture on a plane that runs away from us: the first row is the horizon, the last row is near.

    `eye` is how much of the height is added beyond the horizon: smaller squeezes the distance more.
    """
    wide, high = size
    far = eye * high
    span = far + high
    # two pixels at each edge stay unused: outside of the texture there is nothing to blend with
    length = (texture.height - 4) * far * span / (span - far)  # so that the texture's length fits the plane's
    shift, across = length / span - 2, (texture.width - 4) * far / wide
    middle = texture.width / 2
    # at row y, d = far + y: u = across * (x - wide / 2) / d + middle, v = length / d - shift
    coefficients = (
        across / far,
        middle / far,
        middle - across * wide / 2 / far,
        0.0,
        -shift / far,
        length / far - shift,
        0.0,
        1 / far,
    )
    return texture.transform(size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC)


def wander(image: Image.Image, shift: Callable[[int], float], strip: int = 2) -> Image.Image:
    """Move each strip of rows sideways by `shift(row)` pixels; what moves in repeats the edge."""
    wide, high = image.size
    distances = [round(shift(top)) for top in range(0, high, strip)]
    margin = max(1, *(abs(distance) for distance in distances))
    broad = Image.new(image.mode, (wide + 2 * margin, high))
    broad.paste(image.crop((0, 0, 1, high)).resize((margin, high)), (0, 0))
    broad.paste(image, (margin, 0))
    broad.paste(image.crop((wide - 1, 0, wide, high)).resize((margin, high)), (margin + wide, 0))
    moved = Image.new(image.mode, image.size)
    for number, distance in enumerate(distances):
        top, left = number * strip, margin - distance
        moved.paste(broad.crop((left, top, left + wide, min(top + strip, high))), (0, top))
    return moved


def ridge(rng: random.Random, columns: int, cells: float, octaves: int, gain: float, *, peaks: bool) -> list[float]:
    """A line of heights from 0 to 1, one for each column; `peaks` makes sharp tops instead of round ones."""
    heights, weight = [0.0] * columns, 1.0
    for octave in range(octaves):
        count = max(2, round(cells * 2**octave))
        # two cells more than are shown, and a random start: no line begins at a cell's middle
        row = Image.frombytes("L", (count + 2, 1), rng.randbytes(count + 2)).convert("F")
        start = rng.random()
        row = row.resize((columns, 1), Image.Resampling.BICUBIC, box=(start, 0, start + count, 1))
        values = array("f", row.tobytes())
        if peaks:
            heights = [h + weight * (1 - abs(v / 127.5 - 1)) for h, v in zip(heights, values, strict=True)]
        else:
            heights = [h + weight * v / 255 for h, v in zip(heights, values, strict=True)]
        weight *= gain
    low, high = min(heights), max(heights)
    return [(h - low) / max(high - low, 1e-6) for h in heights]


def rounded(line: list[float], reach: int) -> list[float]:
    """Means over `reach` values to each side."""
    total, sums = 0.0, [0.0]
    for value in line:
        total += value
        sums.append(total)
    last = len(line)
    rounded = []
    for x in range(last):
        low, high = max(0, x - reach), min(last, x + reach + 1)
        rounded.append((sums[high] - sums[low]) / (high - low))
    return rounded


class Outline:
    """A mask drawn with smooth edges, in the picture's own coordinates."""

    def __init__(self, size: Size) -> None:
        self._size = size
        self._mask = Image.new("L", (size[0] * FINE, size[1] * FINE))
        self._draw = ImageDraw.Draw(self._mask)

    def shape(self, points: Sequence[Point], value: int = 255) -> None:
        self._draw.polygon([(x * FINE, y * FINE) for x, y in points], fill=value)

    def line(self, points: Sequence[Point], width: float, value: int = 255) -> None:
        pixels = max(1, round(width * FINE))
        self._draw.line([(x * FINE, y * FINE) for x, y in points], fill=value, width=pixels, joint="curve")

    def ellipse(self, centre: Point, radius: float, flat: float = 1.0, value: int = 255) -> None:
        x, y = centre[0] * FINE, centre[1] * FINE
        wide, high = radius * FINE, radius * FINE * flat
        self._draw.ellipse((x - wide, y - high, x + wide, y + high), fill=value)

    def box(self, left: float, top: float, right: float, bottom: float, value: int = 255) -> None:
        corners = (left * FINE, top * FINE, max(left, right) * FINE - 1, max(top, bottom) * FINE - 1)
        if corners[2] >= corners[0] and corners[3] >= corners[1]:
            self._draw.rectangle(corners, fill=value)

    def ground(self, tops: Sequence[float], value: int = 255) -> None:
        """Fill everything below a line that has one height for each column."""
        wide, high = self._size
        points = [(column + 0.5, top) for column, top in enumerate(tops)]
        self.shape([(-1, high + 1), (-1, tops[0]), *points, (wide + 1, tops[-1]), (wide + 1, high + 1)], value)

    def mask(self) -> Image.Image:
        return self._mask.reduce(FINE)
