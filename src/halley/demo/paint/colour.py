"""Colours, mixed in OKLab so that gradients and haze stay clean instead of turning grey.

Source: the OKLab colour space, B. Ottosson 2020 (the matrices below are its definition).
"""

import math
from functools import lru_cache
from typing import Final

RGB = tuple[int, int, int]
Lab = tuple[float, float, float]

_HUE_NAMES: Final[dict[str, float]] = {  # OKLab hue in degrees
    "red": 27.0,
    "orange": 55.0,
    "gold": 85.0,
    "green": 150.0,
    "teal": 195.0,
    "blue": 255.0,
    "purple": 300.0,
    "pink": 355.0,
}


def rgb(text: str) -> RGB:
    """Read `#rrggbb`."""
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def mix(a: RGB, b: RGB, t: float) -> RGB:
    """Go from `a` (t=0) to `b` (t=1) in a straight line through OKLab."""
    if a == b:
        return a
    first, second = _to_lab(a), _to_lab(b)
    return _from_lab(tuple(x + (y - x) * t for x, y in zip(first, second, strict=True)))  # type: ignore[arg-type]


def darker(colour: RGB, factor: float) -> RGB:
    """Scale lightness and chroma together; a factor above 1 makes it lighter."""
    lightness, a, b = _to_lab(colour)
    return _from_lab((min(1.0, lightness * factor), a * min(1.0, factor), b * min(1.0, factor)))


def under_light(colour: RGB, light: RGB) -> RGB:
    """Show a surface of this colour under light of that colour."""
    return (colour[0] * light[0] // 255, colour[1] * light[1] // 255, colour[2] * light[2] // 255)


def toward_hue(colour: RGB, name: str, strength: float) -> RGB:
    """Turn a colour's hue toward a named one, keeping its lightness; grey takes on a little of it."""
    lightness, a, b = _to_lab(colour)
    chroma = max(math.hypot(a, b), 0.035 * strength)
    target = math.radians(_HUE_NAMES[name])
    aim_a, aim_b = chroma * math.cos(target), chroma * math.sin(target)
    return _from_lab((lightness, a + (aim_a - a) * strength, b + (aim_b - b) * strength))


@lru_cache(maxsize=1024)
def _to_lab(colour: RGB) -> Lab:
    r, g, b = (_linear(v / 255) for v in colour)
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    medium = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def _from_lab(lab: Lab) -> RGB:
    lightness, a, b = lab
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        _encoded(4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short),
        _encoded(-1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short),
        _encoded(-0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short),
    )


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def _encoded(value: float) -> int:
    value = min(1.0, max(0.0, value))
    value = 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
    return round(255 * value)
