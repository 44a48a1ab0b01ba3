"""Small things that give a picture its scale, and the last touches over everything."""

import math

from canvas import Outline, Picture, Point, curve, fade, noise, radial, smooth_step
from colour import RGB, darker, mix, rgb, under_light
from palette import ground_colour
from PIL import Image, ImageChops, ImageFilter


def paint_life(picture: Picture) -> None:
    """Paint what the prompt names besides the land; by day there may be birds that it does not name."""
    scene, rng = picture.scene, picture.rng
    unasked = rng.random() < 0.4 and not scene.is_night and scene.weather in ("clear", "clouds")
    unasked = unasked and "balloons" not in scene.extras
    if "boat" in scene.extras and scene.has_water:
        _paint_boats(picture)
    if "lighthouse" in scene.extras:
        _paint_lighthouse(picture)
    if "cabin" in scene.extras:
        _paint_cabin(picture)
    if "balloons" in scene.extras:
        _paint_balloons(picture)
    if "cactus" in scene.extras or (scene.ground == "desert" and rng.random() < 0.3):
        _paint_cacti(picture)
    if "birds" in scene.extras or unasked:
        _paint_birds(picture)
    if "fireflies" in scene.extras:
        _paint_fireflies(picture)


def _paint_birds(picture: Picture) -> None:
    rng, unit = picture.rng, picture.unit
    flock = Outline(picture.size)
    x = picture.size[0] * (0.3 if picture.light_at[0] > picture.size[0] / 2 else 0.66) + rng.gauss(0, 0.05) * unit
    y = picture.horizon * rng.uniform(0.3, 0.55)
    for _ in range(rng.randint(5, 11)):
        centre_x, centre_y = x + rng.gauss(0, 0.07) * unit, y + rng.gauss(0, 0.035) * unit
        span, lift = unit * rng.uniform(0.006, 0.014), rng.uniform(0.25, 0.6)
        wing = [(0.0, 0.0), (0.35, -lift), (0.7, -lift * 0.9), (1.0, -lift * 0.45)]
        for side in (-1, 1):
            flock.line([(centre_x + side * px * span, centre_y + py * span) for px, py in wing], max(0.7, unit / 620))
    colour = mix(picture.palette.near, picture.palette.sky[1], 0.2)
    picture.lay(colour, flock.mask().point(curve(lambda v: v * 0.9)))


def _paint_boats(picture: Picture) -> None:
    rng, unit, (wide, high) = picture.rng, picture.unit, picture.size
    depth = high - picture.horizon
    for near in (rng.uniform(0.26, 0.36), rng.uniform(0.06, 0.1)):
        x = wide * (rng.uniform(0.26, 0.44) if picture.light_at[0] > wide / 2 else rng.uniform(0.56, 0.74))
        if near < 0.2:
            x = wide - x
        y, tall = picture.horizon + depth * near, unit * (0.03 + 0.42 * near)
        sails, hull = Outline(picture.size), Outline(picture.size)
        for upside, height in ((1, 1.0), (-1, 0.55)):  # the boat, then its reflection
            level = 255 if upside == 1 else 90
            mast = y - upside * tall * height
            sails.shape(
                [
                    (x + tall * 0.02, mast),
                    (x + tall * 0.40, y - upside * tall * 0.13),
                    (x + tall * 0.02, y - upside * tall * 0.13),
                ],
                level,
            )
            sails.shape(
                [
                    (x - tall * 0.03, mast + upside * tall * 0.12),
                    (x - tall * 0.27, y - upside * tall * 0.13),
                    (x - tall * 0.03, y - upside * tall * 0.13),
                ],
                round(level * 0.85),
            )
            low = y + (tall * 0.04 if upside == 1 else tall * 0.1)
            hull.shape(
                [
                    (x - tall * 0.34, y - upside * tall * 0.09),
                    (x + tall * 0.46, y - upside * tall * 0.09),
                    (x + tall * 0.3, low),
                    (x - tall * 0.24, low),
                ],
                level,
            )
        sail = under_light(rgb("#fff6e6"), mix(picture.palette.ambient, rgb("#ffffff"), 0.25))
        picture.lay(mix(sail, picture.palette.haze, 0.3 * (1 - near)), sails.mask())
        picture.lay(mix(picture.palette.near, picture.palette.haze, 0.35 * (1 - near * 2)), hull.mask())


def _paint_lighthouse(picture: Picture) -> None:
    unit, (wide, high) = picture.unit, picture.size
    left = picture.light_at[0] > wide / 2
    x, foot = wide * (0.2 if left else 0.8), picture.horizon + unit * 0.05
    tall = unit * 0.26
    rock = Outline(picture.size)
    tops = []
    line = [picture.rng.uniform(0.75, 1.25) for _ in range(wide // 6 + 2)]
    for column in range(wide):
        away = abs(column - x) / (unit * 0.19)
        rough = line[column // 6] * (1 - column % 6 / 6) + line[column // 6 + 1] * (column % 6 / 6)
        height = unit * 0.085 * max(0.0, 1 - away**1.6) * rough
        tops.append(foot - height if height > 0.5 else high + 2.0)
    rock.ground(tops)
    ground = rock.mask()
    ground.paste(0, (0, round(foot + unit * 0.012), wide, high))
    picture.lay(mix(ground_colour(picture.scene, picture.palette, 0.95), picture.palette.haze, 0.08), ground)
    base = foot - unit * 0.055
    tower, bands, top = Outline(picture.size), Outline(picture.size), base - tall

    def half(level: float) -> float:  # the tower narrows upwards
        return tall * (0.062 + 0.045 * (level - top) / tall)

    tower.shape([(x - half(base), base), (x - half(top), top), (x + half(top), top), (x + half(base), base)])
    for number in (0, 2, 4):
        upper, lower = top + tall * number / 5, top + tall * (number + 1) / 5
        bands.shape(
            [(x - half(lower), lower), (x - half(upper), upper), (x + half(upper), upper), (x + half(lower), lower)]
        )
    white = under_light(rgb("#fbf4ea"), mix(picture.palette.ambient, rgb("#ffffff"), 0.15))
    picture.lay(white, tower.mask())
    picture.lay(under_light(rgb("#c8382f"), mix(picture.palette.ambient, rgb("#ffffff"), 0.2)), bands.mask())
    shade = Outline(picture.size)
    away = -1 if left else 1
    shade.shape(
        [
            (x + away * half(base), base),
            (x + away * half(top), top),
            (x + away * half(top) * 0.2, top),
            (x + away * half(base) * 0.2, base),
        ]
    )
    picture.lay(picture.palette.near, shade.mask().point(curve(lambda v: v * 0.32)))
    head = Outline(picture.size)
    head.box(x - half(top) * 1.35, top - tall * 0.02, x + half(top) * 1.35, top)
    head.shape([(x - half(top), top - tall * 0.11), (x, top - tall * 0.19), (x + half(top), top - tall * 0.11)])
    picture.lay(darker(picture.palette.near, 1.1), head.mask())
    lamp_at = (x, top - tall * 0.065)
    lamp = Outline(picture.size)
    lamp.box(x - half(top) * 0.75, top - tall * 0.11, x + half(top) * 0.75, top - tall * 0.02)
    picture.lay(rgb("#fff0b8"), lamp.mask())
    if picture.scene.time in ("night", "dusk") or picture.scene.weather in ("storm", "fog", "rain"):
        _shine_beam(picture, lamp_at, 1 if left else -1)


def _shine_beam(picture: Picture, lamp: Point, side: int) -> None:
    unit, beam = picture.unit, Outline(picture.size)
    for step in range(20, 0, -1):
        reach = unit * 1.1 * step / 20
        level = round(190 * (1 - step / 21) ** 1.6)
        beam.shape(
            [lamp, (lamp[0] + side * reach, lamp[1] - reach * 0.15), (lamp[0] + side * reach, lamp[1] - reach * 0.02)],
            level,
        )
    picture.shine(rgb("#ffe9a8"), beam.mask().filter(ImageFilter.GaussianBlur(unit / 130)))
    picture.shine(rgb("#fff0c0"), radial(picture.size, lamp, unit * 0.1, 2.5))


def _paint_cabin(picture: Picture) -> None:
    rng, unit, (wide, high) = picture.rng, picture.unit, picture.size
    near = 0.72 if picture.scene.ground in ("hills", "forest", "mountain") else 0.9
    x = wide * (rng.uniform(0.6, 0.7) if picture.light_at[0] < wide / 2 else rng.uniform(0.28, 0.38))
    if picture.scene.ground == "lake":
        x = wide * (0.2 if picture.light_at[0] > wide / 2 else 0.8)
    y = picture.horizon + (high - picture.horizon) * near
    size = unit * 0.085
    wall, roof, lit = Outline(picture.size), Outline(picture.size), Outline(picture.size)
    wall.box(x - size, y - size * 0.75, x + size, y + size * 0.1)
    wall.shape([(x - size, y - size * 0.74), (x - size * 0.35, y - size * 1.3), (x + size * 0.3, y - size * 0.74)])
    roof.shape(
        [
            (x - size * 0.35, y - size * 1.38),
            (x + size * 0.75, y - size * 1.38),
            (x + size * 1.18, y - size * 0.68),
            (x + size * 0.3, y - size * 0.68),
        ]
    )
    roof.line(
        [(x - size * 1.15, y - size * 0.62), (x - size * 0.35, y - size * 1.36), (x + size * 0.32, y - size * 0.66)],
        size * 0.1,
    )
    roof.box(x + size * 0.35, y - size * 1.75, x + size * 0.52, y - size * 1.3)
    lit.box(x - size * 0.5, y - size * 0.5, x - size * 0.16, y - size * 0.14)
    lit.box(x + size * 0.5, y - size * 0.5, x + size * 0.8, y - size * 0.18)
    timber = mix(under_light(rgb("#6b4630"), picture.palette.ambient), picture.palette.near, 0.35)
    picture.lay(timber, wall.mask())
    snowy = picture.scene.weather == "snow"
    picture.lay(
        under_light(rgb("#f2f7ff"), mix(picture.palette.ambient, rgb("#ffffff"), 0.3))
        if snowy
        else darker(timber, 0.55),
        roof.mask(),
    )
    picture.lay(rgb("#ffd27a"), lit.mask())
    picture.shine(rgb("#ffb04a"), lit.mask().filter(ImageFilter.GaussianBlur(size * 0.22)))
    _paint_smoke(picture, (x + size * 0.44, y - size * 1.78), size)


def _paint_smoke(picture: Picture, start: Point, size: float) -> None:
    smoke, (x, y) = Outline(picture.size), start
    for step in range(26):
        t = step / 25
        drift = size * (1.1 * t * t + 0.12 * math.sin(t * 9))
        smoke.ellipse((x + drift, y - size * 1.9 * t), size * (0.06 + 0.22 * t), 0.8, round(95 * (1 - t)))
    colour = mix(picture.palette.cloud_lit, picture.palette.haze, 0.4)
    picture.lay(colour, smoke.mask().filter(ImageFilter.GaussianBlur(size * 0.1)))


def _paint_balloons(picture: Picture) -> None:
    rng, unit = picture.rng, picture.unit
    liveries: list[tuple[RGB, RGB]] = [
        (rgb("#e4572e"), rgb("#f7d08a")),
        (rgb("#2e86ab"), rgb("#f5f1e3")),
        (rgb("#a23b72"), rgb("#f3c677")),
        (rgb("#3f8f6b"), rgb("#f4e3b2")),
        (rgb("#f2a33a"), rgb("#b23a48")),
    ]
    rng.shuffle(liveries)
    places = [(0.3, 0.4, 0.085), (0.68, 0.26, 0.058), (0.84, 0.56, 0.034), (0.5, 0.62, 0.026), (0.12, 0.66, 0.022)]
    for (left, top, share), livery in zip(places, liveries, strict=True):
        centre = (picture.size[0] * (left + rng.gauss(0, 0.03)), picture.horizon * (top + rng.gauss(0, 0.03)))
        _paint_balloon(picture, centre, share * unit, livery, veil=0.4 * (1 - share / 0.085))


def _paint_balloon(picture: Picture, centre: Point, radius: float, livery: tuple[RGB, RGB], veil: float) -> None:
    x, y = centre

    def silk(across: float) -> list[Point]:
        """Half of the envelope's outline, `across` from -1 to 1 of its width."""
        points = []
        for step in range(25):
            t = step / 24
            swell = math.sin(math.pi * min(1.0, t * 1.02) ** 0.72) if t < 0.98 else 0.1
            points.append((x + across * radius * max(0.12 if t > 0.9 else 0.0, swell), y - radius + 2.35 * radius * t))
        return points

    light = mix(picture.palette.ambient, rgb("#ffffff"), 0.3)
    body, stripes = Outline(picture.size), Outline(picture.size)
    body.shape([*silk(-1), *reversed(silk(1))])
    for first, second in ((-1.0, -0.72), (-0.3, 0.3), (0.72, 1.0)):
        stripes.shape([*silk(first), *reversed(silk(second))])
    mask = body.mask()
    picture.lay(mix(under_light(livery[0], light), picture.palette.haze, veil), mask)
    picture.lay(mix(under_light(livery[1], light), picture.palette.haze, veil), stripes.mask())
    side = 1 if picture.light_at[0] > x else -1
    dark = radial(picture.size, (x - side * radius * 0.9, y + radius * 0.5), radius * 2.3, 1.2)
    picture.lay(picture.palette.sky[0], ImageChops.multiply(mask, dark).point(curve(lambda v: v * 0.5)))
    bright = radial(picture.size, (x + side * radius * 0.45, y - radius * 0.45), radius * 1.25, 1.6)
    picture.shine(picture.palette.glow, ImageChops.multiply(mask, bright).point(curve(lambda v: v * 0.35)))
    basket = Outline(picture.size)
    low = y + radius * 1.35
    basket.box(x - radius * 0.13, low + radius * 0.2, x + radius * 0.13, low + radius * 0.4)
    for side in (-1, 1):
        basket.line([(x + side * radius * 0.12, low), (x + side * radius * 0.11, low + radius * 0.22)], radius * 0.03)
    picture.lay(mix(rgb("#4a3020"), picture.palette.haze, veil), basket.mask())


def _paint_cacti(picture: Picture) -> None:
    rng, unit, (wide, high) = picture.rng, picture.unit, picture.size
    plants = Outline(picture.size)
    left = picture.light_at[0] > wide / 2
    for share, size in ((0.14, 0.2), (0.27, 0.1), (0.9, 0.07)):
        x, tall = wide * (share if left else 1 - share), unit * size * rng.uniform(0.9, 1.1)
        y, thick = high - unit * (0.16 - size * 0.55), tall * 0.15
        _stem(plants, [(x, y), (x, y - tall)], thick)
        for side, start, reach in ((-1, rng.uniform(0.3, 0.42), 0.3), (1, rng.uniform(0.42, 0.56), 0.26)):
            elbow = x + side * tall * 0.22
            _stem(
                plants,
                [(x, y - tall * start), (elbow, y - tall * start), (elbow, y - tall * (start + reach))],
                thick * 0.72,
            )
    colour = mix(under_light(rgb("#3d5a3c"), picture.palette.ambient), picture.palette.near, 0.6)
    picture.lay(colour, plants.mask())


def _stem(outline: Outline, points: list[Point], thick: float) -> None:
    outline.line(points, thick)
    for point in points[1:]:
        outline.ellipse(point, thick / 2)


def _paint_fireflies(picture: Picture) -> None:
    rng, unit, (wide, high) = picture.rng, picture.unit, picture.size
    dots = Outline(picture.size)
    for _ in range(60):
        place = (rng.random() * wide, picture.horizon + (high - picture.horizon) * rng.uniform(-0.25, 1.0))
        dots.ellipse(place, unit * rng.uniform(0.0012, 0.003), 1.0, rng.randint(120, 255))
    mask = dots.mask()
    picture.shine(rgb("#ffd76a"), mask.filter(ImageFilter.GaussianBlur(unit / 130)).point(curve(lambda v: v * 4)))
    picture.shine(rgb("#fff3b0"), mask)


def paint_finish(picture: Picture) -> None:
    """Mist, rain or snow before everything; bloom where it is bright; a little contrast and a vignette."""
    scene, (wide, high) = picture.scene, picture.size
    if scene.weather == "fog":
        _paint_mist(picture)
    if scene.weather in ("rain", "storm"):
        _paint_rain(picture)
    if scene.weather == "snow":
        _paint_snowfall(picture)
    small = picture.image.resize((max(1, wide // 4), max(1, high // 4)), Image.Resampling.BOX)
    bright = small.point([max(0, round((v - 150) * 0.55)) for v in range(256)] * 3)
    bloom = bright.filter(ImageFilter.GaussianBlur(picture.unit / 4 / 28)).resize(
        picture.size, Image.Resampling.BILINEAR
    )
    picture.image = ImageChops.screen(picture.image, bloom)
    tone = curve(lambda v: v + 0.055 * math.sin((v - 0.5) * 2 * math.pi))  # a gentle S: deeper darks, clearer lights
    picture.image = picture.image.point(tone * 3)
    corners = Image.radial_gradient("L").resize(picture.size, Image.Resampling.BILINEAR)
    edge = corners.point(smooth_step(0.62, 1.45, 0.75))
    picture.lay(darker(picture.palette.near, 0.6), edge)


def _paint_mist(picture: Picture) -> None:
    rng, (_wide, high) = picture.rng, picture.size
    drift = noise(rng, picture.size, (3, 7), 4, 0.5)
    band = ImageChops.multiply(
        fade(picture.size, picture.horizon - high * 0.2, picture.horizon + high * 0.1),
        fade(picture.size, high * 1.05, picture.horizon + high * 0.12),
    )
    mask = ImageChops.multiply(band, drift.point(smooth_step(0.2, 0.8, 0.75)))
    picture.lay(mix(picture.palette.haze, picture.palette.glow, 0.2), mask)


def _paint_rain(picture: Picture) -> None:
    rng, unit, (wide, high) = picture.rng, picture.unit, picture.size
    streaks = Outline(picture.size)
    for _ in range(520):
        x, y = rng.uniform(-0.1, 1.1) * wide, rng.uniform(-0.1, 1.0) * high
        long = unit * rng.uniform(0.015, 0.06)
        streaks.line([(x, y), (x - long * 0.22, y + long)], unit / 1100, rng.randint(25, 95))
    picture.shine(mix(picture.palette.sky[-1], rgb("#dfe8f5"), 0.5), streaks.mask())


def _paint_snowfall(picture: Picture) -> None:
    rng, unit, (wide, high) = picture.rng, picture.unit, picture.size
    far, close = Outline(picture.size), Outline(picture.size)
    for _ in range(420):
        place = (rng.random() * wide, rng.random() * high)
        far.ellipse(place, unit * rng.uniform(0.0009, 0.0024), 1.0, rng.randint(90, 210))
    for _ in range(46):
        place = (rng.random() * wide, rng.random() * high)
        close.ellipse(place, unit * rng.uniform(0.004, 0.0085), 1.0, rng.randint(80, 170))
    white = under_light(rgb("#ffffff"), mix(picture.palette.ambient, rgb("#ffffff"), 0.6))
    picture.lay(white, far.mask())
    picture.lay(white, close.mask().filter(ImageFilter.GaussianBlur(unit / 300)))
