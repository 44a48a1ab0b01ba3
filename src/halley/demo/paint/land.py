"""The land: ridges that fade into the air, dunes, forests, hills and meadows."""

import math
from typing import Final

from canvas import Outline, Picture, curve, fade, noise, relief, ridge, rounded, smooth_step, vertical, wander
from city import paint_skyline
from colour import darker, mix, rgb, under_light
from palette import ground_colour, snow_colour
from PIL import Image, ImageChops, ImageFilter

_FLOWERS: Final[dict[str, tuple[str, ...]]] = {
    "lavender": ("#6f4fc0", "#8f6bd6", "#b79bf0", "#7d5bcb"),
    "poppies": ("#c4262c", "#e0392f", "#f2603f"),
    "sunflowers": ("#f2b632", "#f7cf5a", "#e09b1f"),
}
_WILD_FLOWERS: Final = (
    ("#f7f3e6", "#f4c95d", "#fdfaf0"),
    ("#e26d8f", "#f3b3c2", "#f7f3e6"),
    ("#b08be0", "#8f6bd6", "#f2e9ff"),
)


def paint_far_land(picture: Picture) -> None:
    """What stands between the horizon and the water, or the farther half of the land."""
    ground = picture.scene.ground
    if ground == "sea":
        _paint_coast(picture)
    elif ground == "city":
        paint_skyline(picture, 0)
        paint_skyline(picture, 1)
    elif ground == "desert":
        _paint_ridges(picture, [(0.12, 0.10, 0.0), (0.28, 0.06, 0.03)], peaks=True)
        _paint_dune(picture, 0.42, 0.06, 0.06)
    elif ground == "forest":
        _paint_ridges(picture, [(0.1, 0.17, -0.02), (0.24, 0.12, 0.02)], peaks=False)
        _paint_firs(picture, 0.36, 0.08, 0.030)
    elif ground == "hills":
        _paint_ridges(picture, [(0.1, 0.13, -0.01), (0.22, 0.09, 0.02)], peaks=False)
        _paint_hill(picture, 0.42, 0.075, 0.06)
    else:
        steep = 0.30 if ground == "mountain" else 0.25
        _paint_ridges(picture, [(0.14, steep, -0.03), (0.3, steep * 0.72, 0.0), (0.46, steep * 0.42, 0.02)], peaks=True)
        if ground == "lake":
            _paint_firs(picture, 0.62, 0.006, 0.034)


def paint_near_land(picture: Picture) -> None:
    """What lies in front of the water, or the nearer half of the land."""
    ground = picture.scene.ground
    if ground == "mountain":
        _paint_ridges(picture, [(0.6, 0.10, 0.1)], peaks=True)
        _paint_firs(picture, 0.74, 0.2, 0.05)
        _paint_firs(picture, 1.0, 0.33, 0.1)
    elif ground == "lake":
        _paint_bank(picture)
    elif ground == "forest":
        _paint_firs(picture, 0.56, 0.14, 0.05)
        _paint_firs(picture, 0.76, 0.22, 0.085)
        _paint_firs(picture, 1.0, 0.33, 0.15)
    elif ground == "hills":
        _paint_hill(picture, 0.58, 0.07, 0.13)
        _paint_hill(picture, 0.78, 0.06, 0.21)
        _paint_hill(picture, 1.0, 0.05, 0.3)
    elif ground == "desert":
        _paint_dune(picture, 0.58, 0.08, 0.13)
        _paint_dune(picture, 0.74, 0.09, 0.21)
        _paint_dune(picture, 0.92, 0.1, 0.3)
    elif ground == "city":
        paint_skyline(picture, 2)
    elif ground == "sea" and "island" not in picture.scene.extras and picture.rng.random() < 0.6:
        _paint_rocks(picture)


def _paint_ridges(picture: Picture, layers: list[tuple[float, float, float]], *, peaks: bool) -> None:
    """Each layer is (depth 0..1, height of the relief, offset of its foot below the horizon), in shares of the unit."""
    for number, (depth, rise, foot) in enumerate(layers):
        base = picture.horizon + foot * picture.unit
        gain = 0.5 if peaks else 0.38
        line = ridge(picture.rng, picture.size[0], picture.rng.uniform(1.6, 2.6), 7, gain, peaks=peaks)
        weight = _swell(picture, number)
        tops = [base - rise * picture.unit * (0.12 + 0.88 * h) * w for h, w in zip(line, weight, strict=True)]
        outline = Outline(picture.size)
        outline.ground(tops)
        _lay_mountain(picture, outline.mask(), tops, depth, rise, peaks=peaks and rise > 0.08)


def _swell(picture: Picture, number: int) -> list[float]:
    """A broad rise that carries the summit to one side, the other side on the next layer."""
    wide = picture.size[0]
    summit = picture.rng.uniform(0.18, 0.42) if number % 2 else picture.rng.uniform(0.55, 0.82)
    if picture.light_at[0] < wide / 2:
        summit = 1 - summit if number == 0 and summit < 0.5 else summit
    spread = picture.rng.uniform(0.3, 0.45)
    return [0.45 + 0.55 * math.exp(-(((x / wide - summit) / spread) ** 2)) for x in range(wide)]


def _lay_mountain(
    picture: Picture, mask: Image.Image, tops: list[float], depth: float, rise: float, *, peaks: bool
) -> None:
    palette, size = picture.palette, picture.size
    top, foot = min(tops), picture.horizon + 0.06 * picture.unit
    rock = ground_colour(picture.scene, palette, depth)
    misty = 0.85 if picture.scene.weather == "fog" else 0.6
    body = vertical(
        size,
        [
            (0.0, rock),
            (max(0.0, top / size[1]), rock),
            (min(1.0, foot / size[1]), mix(rock, palette.haze, misty * (1 - depth * 0.7))),
            (1.0, rock),
        ],
    )
    if peaks:
        faces = _faces(picture, tops)
        body = _shaded(picture, body, faces, top, foot, 1 - 0.45 * depth)
        if picture.scene.weather == "snow" or (depth < 0.4 and rise > 0.15):
            _lay_snow(picture, body, faces, top, rise, depth)
    picture.lay(body, mask)


def _shaded(
    picture: Picture, body: Image.Image, faces: Image.Image, top: float, foot: float, strength: float
) -> Image.Image:
    """Give faces that look at the light more of it, with gullies, fading out down the slope."""
    size, unit = picture.size, picture.unit
    rock = noise(picture.rng, size, (max(2, size[0] // 40), max(2, size[1] // 60)), 5, 0.6)
    creased = rock.point(curve(lambda v: 1 - abs(2 * v - 1)))
    side = 1.0 if picture.light_at[0] > size[0] / 2 else -1.0
    gullies = relief(creased, (side * max(1.0, unit / 200), -max(1.0, unit / 260)), 0.9)
    light = Image.blend(faces, gullies, 0.42)
    upper = fade(size, foot, top + (foot - top) * 0.15)
    light = Image.composite(light, Image.new("L", size, 128), upper.point(curve(lambda v: v * 0.9 * strength)))
    bright = mix(picture.palette.light, picture.palette.ambient, 0.5)
    lit = light.point(smooth_step(0.5, 0.95, 0.6))
    dim = light.point(smooth_step(0.5, 0.05, 0.75))
    body.paste(under_light(bright, rgb("#f4f0ea")), (0, 0), lit)
    body.paste(mix(picture.palette.near, picture.palette.sky[0], 0.5), (0, 0), dim)
    return body


def _faces(picture: Picture, tops: list[float]) -> Image.Image:
    """Left or right of a summit: light or shade, the border wandering down from the summit."""
    wide, high = picture.size
    reach = max(2, wide // 48)
    slopes = [tops[min(wide - 1, x + reach)] - tops[max(0, x - reach)] for x in range(wide)]
    steepest = max(1e-6, *(abs(s) for s in slopes))
    side = 1.0 if picture.light_at[0] > wide / 2 else -1.0
    row = bytes(round(128 + 100 * side * s / steepest) for s in slopes)
    faces = Image.frombytes("L", (wide, 1), row).resize((wide, high))
    path, drift = [0.0], 0.0
    for _ in range(high):
        drift = drift * 0.86 + picture.rng.gauss(0, 1.0) * picture.unit / 500
        path.append(path[-1] + drift)
    return wander(faces, lambda row: path[row], 2).filter(ImageFilter.GaussianBlur(picture.unit / 220))


def _lay_snow(picture: Picture, body: Image.Image, faces: Image.Image, top: float, rise: float, depth: float) -> None:
    size, unit = picture.size, picture.unit
    reach = rise * (0.95 if picture.scene.weather == "snow" else 0.52) * unit
    ragged = noise(picture.rng, size, (max(2, size[0] // 18), max(2, size[1] // 44)), 4, 0.65)
    height = fade(size, top + reach, top - 0.2 * reach)
    mask = ImageChops.add(height, ragged, 2.0).point(smooth_step(0.5, 0.6, 0.92 - 0.3 * depth))
    white = snow_colour(picture.palette)
    shade = mix(white, picture.palette.sky[1], 0.5)
    lit = faces.point(smooth_step(0.36, 0.6))
    paint = Image.composite(Image.new("RGB", size, white), Image.new("RGB", size, shade), lit)
    body.paste(paint, (0, 0), mask)


def _paint_coast(picture: Picture) -> None:
    """A headland or two that end in the sea, or an island."""
    rng, (wide, high) = picture.rng, picture.size
    left = picture.light_at[0] > wide / 2
    for number in range(2):
        depth, rise = 0.2 + 0.2 * number, (0.085 - 0.02 * number) * picture.unit
        line = ridge(rng, wide, 2.5, 6, 0.5, peaks=False)
        reach, start = rng.uniform(0.28, 0.42) - 0.1 * number, 0.0
        if "island" in picture.scene.extras and number:
            start, reach = rng.uniform(0.4, 0.6), 0.16
        slopes = []
        for x in range(wide):
            at = x / wide if left else 1 - x / wide
            away = abs(at - start) / reach
            slopes.append(max(0.0, 1 - away) ** 0.7)
        tops = [
            picture.horizon + 1 - rise * s * (0.35 + 0.65 * h) if s else high + 2.0
            for h, s in zip(line, slopes, strict=True)
        ]
        outline = Outline(picture.size)
        outline.ground(tops)
        _lay_mountain(picture, outline.mask(), tops, depth, 0.05, peaks=False)


def _paint_hill(picture: Picture, depth: float, rise: float, foot: float) -> None:
    """A round hill with light on its crown, trees and hedges along it."""
    rng, unit, size = picture.rng, picture.unit, picture.size
    base = picture.horizon + foot * unit
    line = ridge(rng, size[0], rng.uniform(0.7, 1.3), 3, 0.3, peaks=False)
    tops = [base - rise * unit * h for h in line]
    trees = Outline(size)
    if depth < 0.95:
        for _ in range(rng.randint(5, 9)):
            start = rng.randrange(size[0])
            for number in range(rng.randint(2, 9)):
                x = min(size[0] - 1, max(0, round(start + number * unit * rng.uniform(0.008, 0.014))))
                _round_tree(picture, trees, (x, tops[x] + unit * 0.004), unit * 0.034 * depth * rng.uniform(0.5, 1.0))
    colour = ground_colour(picture.scene, picture.palette, depth)
    leaves = {"autumn": "#c8642a", "blossom": "#f0a8c0"}
    named = next(
        (under_light(rgb(leaves[kind]), picture.palette.ambient) for kind in leaves if kind in picture.scene.extras),
        None,
    )
    picture.lay(
        mix(named, picture.palette.haze, 0.3 * (1 - depth)) if named else mix(colour, picture.palette.near, 0.55),
        trees.mask(),
    )
    outline = Outline(size)
    outline.ground(tops)
    mask = outline.mask()
    lit = mix(colour, under_light(rgb("#dfe08a"), picture.palette.ambient), 0.45 * (1.1 - depth))
    top = min(tops) / size[1]
    body = vertical(size, [(0.0, lit), (max(0.0, top), lit), (min(1.0, top + 0.2), colour), (1.0, darker(colour, 0.7))])
    rows = noise(rng, size, (max(2, size[0] // 70), max(2, size[1] // 7)), 3, 0.6)
    body.paste(darker(colour, 0.75), (0, 0), rows.point(smooth_step(0.5, 0.95, 0.4)))
    picture.lay(body, mask)
    if depth > 0.5 and "flowers" in picture.scene.extras:
        _scatter_flowers(picture, tops, depth)


def _round_tree(picture: Picture, outline: Outline, foot: tuple[float, float], size: float) -> None:
    rng = picture.rng
    outline.box(foot[0] - size * 0.06, foot[1] - size * 0.5, foot[0] + size * 0.06, foot[1])
    outline.ellipse((foot[0], foot[1] - 0.66 * size), 0.22 * size, 1.2)
    large = size > picture.unit * 0.05
    for _ in range(34 if large else 6):  # leaves in tufts, the nearer the finer
        angle, away = rng.uniform(0, 2 * math.pi), rng.random() ** 0.5
        centre = (
            foot[0] + math.cos(angle) * away * 0.27 * size,
            foot[1] - (0.66 + 0.3 * away * math.sin(angle)) * size,
        )
        outline.ellipse(centre, size * (rng.uniform(0.07, 0.13) if large else rng.uniform(0.2, 0.32)), 0.85)


def _scatter_flowers(picture: Picture, tops: list[float], depth: float) -> None:
    rng, unit, (wide, high) = picture.rng, picture.unit, picture.size
    kinds = [kind for kind in _FLOWERS if kind in picture.scene.extras]
    for colour in rng.choice([_FLOWERS[kind] for kind in kinds] or _WILD_FLOWERS):
        dots = Outline(picture.size)
        patches = [(rng.random(), rng.random()) for _ in range(7)]
        for _ in range(round(420 * depth)):
            patch = rng.choice(patches)
            x, down = round(rng.gauss(patch[0], 0.12) * wide), abs(rng.gauss(patch[1], 0.16))
            if not 0 <= x < wide:
                continue
            y = tops[x] + (high - tops[x]) * down
            near = (y - picture.horizon) / max(1, high - picture.horizon)
            dots.ellipse((x, y), unit * (0.0008 + 0.0034 * near * near) * rng.uniform(0.6, 1.25), 0.75)
        picture.lay(under_light(rgb(colour), mix(picture.palette.ambient, rgb("#ffffff"), 0.4)), dots.mask())


def _paint_dune(picture: Picture, depth: float, rise: float, foot: float) -> None:
    """One dune: a long crest, its lit side, and its shadow side divided by an S from each summit."""
    rng, unit, size = picture.rng, picture.unit, picture.size
    base = picture.horizon + foot * unit
    line = ridge(rng, size[0], rng.uniform(1.0, 1.8), 2, 0.28, peaks=True)
    smooth = rounded(line, max(2, size[0] // 60))
    tops = [base - rise * unit * h for h in smooth]
    outline = Outline(size)
    outline.ground(tops)
    mask = outline.mask()
    sand = ground_colour(picture.scene, picture.palette, depth)
    lit = mix(sand, under_light(rgb("#ffd9a0"), picture.palette.ambient), 0.5 - 0.2 * depth)
    top = min(tops) / size[1]
    body = vertical(size, [(0.0, lit), (max(0.0, top), lit), (min(1.0, top + 0.26), sand), (1.0, darker(sand, 0.8))])
    ripples = noise(rng, size, (max(2, size[0] // 120), max(2, size[1] // 5)), 2, 0.6)
    ripples = wander(ripples, lambda row: unit * 0.03 * math.sin(row / unit * 40), 1)
    body.paste(darker(sand, 0.8), (0, 0), ripples.point(smooth_step(0.55, 0.95, 0.3 * depth)))
    picture.lay(body, mask)
    lee = ImageChops.multiply(_lee(picture, tops, rise * unit), mask)
    picture.lay(mix(darker(sand, 0.5), picture.palette.sky[0], 0.35), lee.point(curve(lambda v: v * 0.8)))


def _lee(picture: Picture, tops: list[float], rise: float) -> Image.Image:
    """The shadow side of a dune: where the crest falls away from the light, its edge running down in an S."""
    wide, high = picture.size
    reach = max(2, wide // 200)
    side = 1 if picture.light_at[0] < wide / 2 else -1
    slopes = [side * (tops[min(wide - 1, x + reach)] - tops[max(0, x - reach)]) for x in range(wide)]
    steepest = max(1e-6, *slopes)
    row = Image.frombytes("L", (wide, 1), bytes(round(255 * min(1.0, max(0.0, s / steepest) * 2.6)) for s in slopes))
    deep = min(high, max(2, round(rise * 2.2)))
    sheet = ImageChops.multiply(row.resize((wide, deep)), fade((wide, deep), deep * 1.05, deep * 0.1))
    sheet = wander(sheet, lambda y: side * picture.unit * (0.16 * y / deep - 0.05 * math.sin(y / deep * 5.5)), 1)
    shadow = Image.new("L", picture.size)
    for x, top in enumerate(tops):  # every column hangs from the crest
        shadow.paste(sheet.crop((x, 0, x + 1, deep)), (x, round(top)))
    return shadow.filter(ImageFilter.GaussianBlur(picture.unit / 500))


def _paint_firs(picture: Picture, depth: float, foot: float, tall: float) -> None:
    """A wooded ridge: trees of about `tall` units along a line whose foot is `foot` units below the horizon."""
    rng, unit, size = picture.rng, picture.unit, picture.size
    base = picture.horizon + foot * unit
    line = ridge(rng, size[0], rng.uniform(1.2, 2.2), 4, 0.4, peaks=False)
    amplitude = (0.03 + 0.09 * min(1.0, foot * 3)) * unit if foot > 0.03 else 0.006 * unit
    tops = [base - amplitude * h for h in line]
    outline = Outline(size)
    outline.ground(tops)
    x = -tall * unit
    while x < size[0] + tall * unit:
        column = min(size[0] - 1, max(0, round(x)))
        height = tall * unit * rng.uniform(0.45, 1.0) * (1.25 if rng.random() < 0.12 else 1.0)
        _fir(picture, outline, (x, tops[column] + tall * unit * 0.12), height)
        x += tall * unit * rng.uniform(0.1, 0.34)
    colour = ground_colour(picture.scene, picture.palette, depth)
    low = min(1.0, (base + 0.12 * unit) / size[1])
    misty = (0.75 if picture.scene.weather == "fog" else 0.5) * (1 - depth) ** 0.6
    top = max(0.0, (min(tops) - tall * unit) / size[1])
    body = vertical(
        size, [(0.0, colour), (top, colour), (low, mix(colour, picture.palette.haze, misty)), (1.0, colour)]
    )
    picture.lay(body, outline.mask())
    if picture.scene.weather == "snow":
        floor = Outline(size)
        floor.ground([top - 1.0 for top in tops])
        white = snow_colour(picture.palette)
        deep = mix(white, picture.palette.sky[1], 0.3)
        top, low = max(0.0, min(tops) / size[1]), min(1.0, max(tops) / size[1] + 0.1)
        paint = vertical(size, [(0.0, white), (top, white), (low, deep), (1.0, deep)])
        picture.lay(Image.blend(paint, Image.new("RGB", size, picture.palette.haze), 0.45 * (1 - depth)), floor.mask())


def _fir(picture: Picture, outline: Outline, foot: tuple[float, float], height: float) -> None:
    rng = picture.rng
    if {"autumn", "blossom"} & picture.scene.extras and rng.random() < 0.75:
        _round_tree(picture, outline, foot, height)
        return
    tiers = 5 if height < picture.unit * 0.04 else 9
    half = height * rng.uniform(0.15, 0.21)
    left: list[tuple[float, float]] = []
    right: list[tuple[float, float]] = []
    x, y = foot
    for tier in range(1, tiers + 1):
        t = tier / tiers
        out = half * t**0.85
        level = y - height * (1 - t)
        left += [(x - out * rng.uniform(0.8, 1.15), level), (x - out * 0.5, level - height * 0.02)]
        right += [(x + out * rng.uniform(0.8, 1.15), level), (x + out * 0.5, level - height * 0.02)]
    outline.shape([(x, y - height), *right, (x, y), *reversed(left)])


def _paint_bank(picture: Picture) -> None:
    """The near shore of a lake: a dark slope that enters from one side, with firs, or reeds."""
    rng, unit, (wide, high) = picture.rng, picture.unit, picture.size
    left = picture.light_at[0] > wide / 2
    line = ridge(rng, wide, 3.0, 5, 0.45, peaks=False)
    reach = rng.uniform(0.5, 0.75)
    tops = []
    for x, h in enumerate(line):
        at = x / wide if left else 1 - x / wide
        slope = max(0.0, 1 - at / reach) ** 1.3
        tops.append(high - unit * (0.02 + 0.17 * slope + 0.03 * h))
    outline = Outline(picture.size)
    outline.ground(tops)
    for _ in range(round(26 * reach)):
        at = rng.random() ** 1.5 * reach * 0.75
        x = round((at if left else 1 - at) * (wide - 1))
        height = unit * rng.uniform(0.08, 0.24) * (1 - at / reach * 0.7)
        _fir(picture, outline, (x, tops[x] + unit * 0.02), height)
    for _ in range(110):
        x = rng.randrange(wide)
        lean, tall = rng.gauss(0, 0.012) * unit, unit * rng.uniform(0.012, 0.045)
        outline.line([(x, tops[x] + 3), (x + lean * 0.4, tops[x] - tall * 0.6), (x + lean, tops[x] - tall)], unit / 700)
    near = ground_colour(picture.scene, picture.palette, 0.98)
    body = vertical(picture.size, [(0.0, mix(near, picture.palette.haze, 0.12)), (0.6, near), (1.0, darker(near, 0.6))])
    picture.lay(body, outline.mask())


def _paint_rocks(picture: Picture) -> None:
    rng, unit, (wide, high) = picture.rng, picture.unit, picture.size
    left = picture.light_at[0] > wide / 2
    line = ridge(rng, wide, 6.0, 6, 0.5, peaks=True)
    tops = []
    for x, h in enumerate(line):
        at = x / wide if left else 1 - x / wide
        tops.append(high - unit * (max(0.0, 0.16 - at * 0.36) * (0.4 + h) - (0.004 if at > 0.5 else 0.0)))
    outline = Outline(picture.size)
    outline.ground(tops)
    near = ground_colour(picture.scene, picture.palette, 1.0)
    picture.lay(near, outline.mask())
