"""Water: what stands above it comes back upside down, broken by ripples, with a path of light."""

import math

from canvas import Outline, Picture, curve, fade, noise, receding, relief, smooth_step, wander
from colour import darker, mix
from PIL import Image, ImageChops, ImageFilter


def paint_water(picture: Picture) -> None:
    """Cover everything below the horizon; call it when all that is to be mirrored is there."""
    wide, high = picture.size
    depth = high - picture.horizon
    rough = 1.0 if picture.scene.ground == "sea" else 0.4
    if picture.scene.weather == "storm":
        rough *= 1.7
    mirrored = _mirror(picture, depth, rough)
    deep = darker(mix(picture.palette.sky[0], picture.palette.sky[1], 0.35), 0.72)
    tint = fade((wide, depth), -0.25 * depth, 1.25 * depth).point(curve(lambda v: min(0.82, 0.1 + v * 0.8)))
    mirrored.paste(deep, (0, 0), tint)
    _roughen(picture, mirrored, rough)
    # a thin veil where water and air meet: the far shore stands in haze
    shore = fade((wide, depth), 0.1 * depth, 0.0).point(curve(lambda v: v * 0.45))
    mirrored.paste(picture.palette.haze, (0, 0), shore)
    picture.image.paste(mirrored, (0, picture.horizon))
    if picture.light_shows and picture.scene.weather not in ("storm", "rain", "fog"):
        _paint_glitter(picture, depth)


def _mirror(picture: Picture, depth: int, rough: float) -> Image.Image:
    wide = picture.size[0]
    shown = min(picture.horizon, round(depth * 1.15))
    above = picture.image.crop((0, picture.horizon - shown, wide, picture.horizon))
    flipped = above.transpose(Image.Transpose.FLIP_TOP_BOTTOM).resize((wide, depth), Image.Resampling.BILINEAR)
    flipped = flipped.filter(
        ImageFilter.BoxBlur((picture.unit / 500 * (1 + rough), picture.unit / 180 * (0.4 + rough)))
    )
    phase, unit = picture.rng.uniform(0, 6.28), picture.unit
    jitter = [picture.rng.gauss(0, 1) for _ in range(depth + 1)]

    def ripple(row: int) -> float:
        near = row / depth
        pace = 90 / (0.12 + near)
        wave = math.sin(pace * near * 0.9 + phase) + 0.5 * math.sin(pace * near * 2.3 + phase * 2)
        return unit * rough * (0.0015 + 0.011 * near) * (wave + 0.7 * jitter[row])

    return wander(flipped, ripple, max(1, round(unit / 512)))


def _roughen(picture: Picture, water: Image.Image, rough: float) -> None:
    """Small waves that run together towards the horizon, bright on one side and dark on the other."""
    side = max(256, min(1280, water.width))
    swell = noise(picture.rng, (side, side), (26, 60), 4, 0.62)
    plane = receding(swell, water.size, 0.1)
    faces = relief(plane, (0, max(1.0, picture.unit / 300)), 1.6)
    near = fade(water.size, -0.1 * water.height, water.height).point(curve(lambda v: 0.25 + 0.75 * v))
    bright = ImageChops.multiply(faces.point(smooth_step(0.52, 0.85, 0.42 * min(1.0, rough + 0.1))), near)
    dark = ImageChops.multiply(faces.point(smooth_step(0.48, 0.15, 0.5 * min(1.0, rough + 0.1))), near)
    water.paste(mix(picture.palette.sky[2], picture.palette.sky[3], 0.4), (0, 0), bright)
    water.paste(darker(mix(picture.palette.sky[0], picture.palette.near, 0.5), 0.8), (0, 0), dark)


def _paint_glitter(picture: Picture, depth: int) -> None:
    """Dashes of light below the sun or moon: a narrow road far away that widens and breaks up near us."""
    rng, unit, x = picture.rng, picture.unit, picture.light_at[0]
    low = 1 - picture.light_at[1] / picture.horizon  # how high the light stands
    count = round(420 * (1.1 - 0.8 * low))
    dashes = Outline(picture.size)
    for _ in range(count):
        near = rng.random() ** 1.35
        y = picture.horizon + 1 + near * (depth - 1)
        spread = unit * (0.012 + 0.075 * near)
        off = rng.gauss(0, 1) * spread
        long = unit * (0.004 + 0.022 * near) * rng.uniform(0.4, 1.3)
        level = round(255 * rng.uniform(0.35, 1.0) * math.exp(-((off / spread) ** 2) * 0.35) * (1 - 0.45 * near))
        dashes.ellipse((x + off, y), long, max(0.06, 0.1 + 0.05 * near), level)
    mask = dashes.mask()
    share = 0.55 if picture.scene.is_night else 0.8
    picture.shine(mix(picture.palette.glow, picture.palette.light, 0.5), mask.point(curve(lambda v: v * share)))
    soft = mask.filter(ImageFilter.GaussianBlur(unit / 90))
    picture.shine(picture.palette.glow, soft.point(curve(lambda v: v * share * 0.8)))
