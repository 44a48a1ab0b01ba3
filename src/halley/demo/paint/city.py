"""A city: rows of towers with lit windows, the nearer the taller, darker and brighter."""

from canvas import Outline, Picture, curve, rounded, vertical
from colour import RGB, mix, rgb
from palette import ground_colour
from PIL import ImageFilter


def paint_skyline(picture: Picture, layer: int) -> None:
    """Rows of buildings; the nearer, the taller, darker and better lit."""
    rng, unit, (wide, high) = picture.rng, picture.unit, picture.size
    depth, tallest = (0.2, 0.5, 0.9)[layer], (0.24, 0.3, 0.26)[layer] * unit
    base = picture.horizon + (0.02, 0.06, 0.26)[layer] * unit
    outline, windows = Outline(picture.size), Outline(picture.size)
    crowd = rounded([rng.random() for _ in range(12)], 1)
    x = -0.02 * unit
    while x < wide:
        across = unit * rng.uniform(0.03, 0.075) * (0.7 + 0.5 * layer)
        centre = crowd[min(11, max(0, int(12 * x / wide)))]
        tall = tallest * (0.3 + 0.75 * centre) * rng.uniform(0.55, 1.15)
        _tower(picture, outline, (x, base - tall, x + across, high), layer)
        if layer:
            _light_windows(picture, windows, (x, base - tall, x + across, base + 0.25 * unit), layer)
        x += across * rng.uniform(0.82, 1.12)
    colour = ground_colour(picture.scene, picture.palette, depth)
    top, low = max(0.0, (base - tallest * 1.4) / high), min(1.0, (base + 0.1 * unit) / high)
    misty = mix(colour, mix(picture.palette.haze, picture.palette.glow, 0.3), 0.6 * (1 - depth))
    picture.lay(vertical(picture.size, [(0.0, colour), (top, colour), (low, misty), (1.0, misty)]), outline.mask())
    if layer:
        lamp: RGB = rgb("#ffd48a") if picture.scene.hue not in ("pink", "purple", "teal") else rgb("#ff9be0")
        glow = windows.mask()
        picture.lay(lamp, glow.point(curve(lambda v: v * (0.95 if picture.scene.time in ("night", "dusk") else 0.3))))
        if picture.scene.time in ("night", "dusk"):
            picture.shine(lamp, glow.filter(ImageFilter.GaussianBlur(unit / 110)).point(curve(lambda v: v * 0.7)))


def _tower(picture: Picture, outline: Outline, box: tuple[float, float, float, float], layer: int) -> None:
    rng, (left, top, right, bottom) = picture.rng, box
    outline.box(left, top, right, bottom)
    across, kind = right - left, rng.random()
    if kind < 0.3:  # set back
        outline.box(left + across * 0.2, top - across * 0.5, right - across * 0.2, top + 1)
        outline.box(left + across * 0.36, top - across * 0.8, right - across * 0.36, top)
    elif kind < 0.42:  # a spire
        middle = (left + right) / 2
        outline.shape([(left, top), (middle, top - across * rng.uniform(0.8, 1.6)), (right, top)])
    if kind > 0.7 or kind < 0.12:  # an antenna
        middle = left + across * rng.uniform(0.3, 0.7)
        mast = across * (0.9 if kind > 0.7 else 1.6)
        outline.line([(middle, top + 1), (middle, top - mast)], picture.unit / 500 * (0.6 + 0.3 * layer))


def _light_windows(picture: Picture, outline: Outline, box: tuple[float, float, float, float], layer: int) -> None:
    rng, (left, top, right, bottom) = picture.rng, box
    pitch = picture.unit * (0.0075 + 0.0035 * layer)
    share = rng.uniform(0.15, 0.55)
    columns, rows = int((right - left) / pitch) - 1, int((bottom - top) / (pitch * 1.25)) - 1
    for row in range(rows):
        dark_floor = rng.random() < 0.25
        for column in range(columns):
            if dark_floor or rng.random() > share:
                continue
            x, y = left + (column + 0.8) * pitch, top + (row + 0.9) * pitch * 1.25
            outline.box(x, y, x + pitch * 0.5, y + pitch * 0.62, rng.randint(110, 255))
