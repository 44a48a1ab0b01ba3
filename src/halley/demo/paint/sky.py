"""The sky: its gradient, the sun or moon with their glow, stars, clouds, aurora, comet, rainbow and lightning."""

import math

from canvas import Outline, Picture, curve, fade, noise, radial, receding, relief, smooth_step, vertical
from colour import RGB, darker, mix, rgb
from PIL import Image, ImageChops, ImageDraw, ImageFilter

_COVER = {"clear": 0.68, "clouds": 0.52, "storm": 0.3, "rain": 0.36, "snow": 0.42, "fog": 0.5}
"""Per weather, the noise level above which there is cloud: lower means more of it."""


def paint_air(picture: Picture) -> None:
    """The gradient from zenith to horizon, and the glow around the place of the sun or moon."""
    sky, (_wide, high) = picture.palette.sky, picture.size
    low = picture.horizon / high
    places = (0.0, 0.38 * low, 0.76 * low, low, 1.0)
    picture.image = vertical(picture.size, list(zip(places, (*sky, sky[-1]), strict=True)))
    strength = {"storm": 0.1, "rain": 0.25, "fog": 0.5, "snow": 0.4}.get(picture.scene.weather, 1.0)
    if picture.scene.is_night:
        strength *= 0.55
    if not picture.light_shows:
        strength *= 0.3
    for reach, share, flat in ((1.5, 0.32, 0.6), (0.68, 0.34, 0.85), (0.28, 0.4, 1.0)):
        mask = radial(picture.size, picture.light_at, reach * picture.unit, 2.2, flat)
        picture.lay(picture.palette.glow, mask.point(curve(lambda v, share=share: v * share * strength)))  # type: ignore[misc]
    _paint_disc(picture, strength)


def _paint_disc(picture: Picture, strength: float) -> None:
    if strength < 0.2 or not picture.light_shows:
        return
    centre, radius = picture.light_at, picture.light_radius
    picture.shine(picture.palette.glow, radial(picture.size, centre, radius * 6, 3.0))
    disc = Outline(picture.size)
    disc.ellipse(centre, radius)
    mask = disc.mask()
    if not picture.scene.is_night:
        picture.lay(picture.palette.light, mask)
        return
    face = noise(picture.rng, (64, 64), (5, 5), 3).point(smooth_step(0.35, 0.75, 0.3))
    seas = Image.new("L", picture.size)
    across = max(2, round(radius * 2))
    seas.paste(face.resize((across, across)), (round(centre[0] - radius), round(centre[1] - radius)))
    if picture.rng.random() < 0.4 and "moon" not in picture.scene.extras:  # a crescent
        bite = Outline(picture.size)
        bite.ellipse((centre[0] + radius * 0.55, centre[1] - radius * 0.25), radius * 0.95)
        mask = ImageChops.subtract(mask, bite.mask())
    picture.lay(picture.palette.light, mask)
    picture.lay(mix(picture.palette.light, picture.palette.sky[2], 0.6), ImageChops.multiply(mask, seas))


def paint_lights(picture: Picture) -> None:
    """Stars at night and a few at dusk, the Milky Way, an aurora, a comet."""
    extras = picture.scene.extras
    clear = picture.scene.weather in ("clear", "clouds")
    if picture.scene.is_night and clear:
        if "stars" in extras and not extras & {"aurora", "moon"}:
            _paint_milky_way(picture)
        _paint_stars(picture, 1.0)
    elif picture.scene.time == "dusk" and clear:
        _paint_stars(picture, 0.22)
    if "aurora" in extras:
        _paint_aurora(picture)
    if "comet" in extras:
        _paint_comet(picture)


def _paint_stars(picture: Picture, share: float) -> None:
    rng, (wide, _high) = picture.rng, picture.size
    scale = max(1, round(picture.unit / 600))
    small, bright = Image.new("L", picture.size), Image.new("L", picture.size)
    dots, suns = ImageDraw.Draw(small), ImageDraw.Draw(bright)
    for _ in range(round(420 * share)):
        x, y = rng.random() * wide, picture.horizon * rng.random() ** 1.3
        level = 40 + 215 * rng.random() ** 3.5
        level *= 1 - (y / picture.horizon) ** 3
        if scale > 1:
            dots.ellipse((x, y, x + scale - 1, y + scale - 1), fill=round(level))
        else:
            dots.point((x, y), fill=round(level))
        if level > 190:
            arm = scale * rng.uniform(0.6, 1.2)
            suns.ellipse((x - arm, y - arm, x + arm, y + arm), fill=round(level))
    away = radial(picture.size, picture.light_at, picture.light_radius * 4.8, 0.5)
    small = ImageChops.subtract(small, away)
    picture.shine(rgb("#eef3ff"), small)
    picture.shine(rgb("#fff1dd"), ImageChops.subtract(bright.filter(ImageFilter.GaussianBlur(0.8 * scale)), away))


def _paint_milky_way(picture: Picture) -> None:
    rng, (wide, high) = picture.rng, picture.size
    cloud = noise(rng, picture.size, (6, 6), 6, 0.62)
    tilt, shift = rng.choice((-1, 1)) * rng.uniform(0.5, 0.9), rng.uniform(-0.1, 0.1) * wide
    band = Outline((wide // 4 + 1, high // 4 + 1))
    middle = [((wide / 2 + shift + tilt * (high / 2 - y)) / 4, y / 4) for y in (-high * 0.2, high * 1.2)]
    band.line(middle, wide * 0.045)
    soft = band.mask().filter(ImageFilter.GaussianBlur(picture.unit * 0.03)).resize(picture.size)
    light = ImageChops.multiply(soft, cloud.point(smooth_step(0.25, 0.95)))
    light = ImageChops.multiply(light, fade(picture.size, picture.horizon, picture.horizon * 0.3))
    picture.shine(mix(picture.palette.sky[3], rgb("#c9c4ff"), 0.45), light)
    core = ImageChops.multiply(light, light)
    picture.shine(rgb("#ffd9c4"), core.point(curve(lambda v: v * 0.5)))
    dust = Image.new("L", picture.size)
    draw = ImageDraw.Draw(dust)
    for _ in range(1400):
        along = rng.random()
        x = wide / 2 + shift + tilt * (high / 2 - along * high) + rng.gauss(0, 0.09) * wide
        draw.point((x, along * high), fill=round(30 + 150 * rng.random() ** 3))
    picture.shine(rgb("#eaf0ff"), ImageChops.multiply(dust, fade(picture.size, picture.horizon, picture.horizon * 0.4)))


def _paint_aurora(picture: Picture) -> None:
    rng, (wide, _high) = picture.rng, picture.size
    colours = (rgb("#4dffb0"), rgb("#3fe0c8"), rgb("#9a6bff"))
    for number, colour in enumerate(colours):
        tall = round(picture.horizon * rng.uniform(0.5, 0.75))
        rays = noise(rng, (wide, 1), (max(4, wide // 40), 1), 4, 0.6).resize((wide, tall))
        curtain = ImageChops.multiply(rays.point(smooth_step(0.25, 0.95)), _curtain(wide, tall))
        base = picture.horizon * rng.uniform(0.12, 0.3) - number * picture.horizon * 0.05
        swing, turns, phase = picture.horizon * 0.1, rng.uniform(1.0, 2.2), rng.uniform(0, 6.28)
        strip = max(4, wide // 64)
        hung = Image.new("L", picture.size)
        for left in range(0, wide, strip):
            x = left / wide
            drop = base + swing * (math.sin(x * turns * 6.28 + phase) + 0.4 * math.sin(x * turns * 14 + phase * 2))
            hung.paste(curtain.crop((left, 0, min(wide, left + strip), tall)), (left, round(drop)))
        hung = hung.filter(ImageFilter.GaussianBlur(picture.unit / 160))
        picture.shine(colour, hung.point(curve(lambda v: v * 0.75)))


def _curtain(wide: int, tall: int) -> Image.Image:
    """Sharp below, fading upwards."""
    rows = bytes(round(255 * (row / tall) ** 2.2 * min(1.0, (tall - row) / (tall * 0.12))) for row in range(tall))
    return Image.frombytes("L", (1, tall), rows).resize((wide, tall))


def _paint_comet(picture: Picture) -> None:
    rng, unit = picture.rng, picture.unit
    x, y = picture.size[0] * rng.uniform(0.25, 0.4), picture.horizon * rng.uniform(0.4, 0.55)
    away_x, away_y = 0.34 * unit, -0.2 * unit
    for width, blur, share, spread in ((0.05, 0.02, 0.35, 0.5), (0.02, 0.008, 0.6, 0.2), (0.008, 0.003, 0.9, 0.05)):
        tail = Outline(picture.size)
        side_x, side_y = -away_y * width * 2, away_x * width * 2
        for step in range(24, 0, -1):
            t = step / 24
            reach = 0.15 + 0.85 * t
            tail.shape(
                [
                    (x, y),
                    (x + away_x * reach + side_x * (spread + t), y + away_y * reach + side_y * (spread + t)),
                    (x + away_x * reach - side_x * (spread + t), y + away_y * reach - side_y * (spread + t)),
                ],
                round(255 * share * (1 - t) ** 1.3),
            )
        picture.shine(rgb("#cfe4ff"), tail.mask().filter(ImageFilter.GaussianBlur(blur * unit)))
    picture.shine(rgb("#ffffff"), radial(picture.size, (x, y), unit * 0.05, 3.0))


def paint_clouds(picture: Picture) -> None:
    """A field of clouds that runs to the horizon, lit from where the light stands; then rainbow and lightning."""
    scene, (wide, _high) = picture.scene, picture.size
    cover = _COVER.get(scene.weather, 0.5) + picture.rng.uniform(-0.04, 0.05)
    side = max(256, min(1536, wide * 3 // 2))
    field = noise(picture.rng, (side, side), (11, 14), 6, 0.55)
    sky_size = (wide, picture.horizon)
    flat = receding(field, sky_size, 0.16).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    body = flat.point(smooth_step(cover, cover + 0.3)).filter(ImageFilter.GaussianBlur(picture.unit / 900))
    # towards the horizon the field is squeezed into streaks; a little haze takes them back
    thin = fade(sky_size, picture.horizon * 1.02, picture.horizon * 0.72)
    body = ImageChops.multiply(body, thin)
    body = body.point(curve(lambda v: v * (0.95 if scene.weather in ("storm", "rain") else 0.8)))
    towards = (
        (picture.light_at[0] - wide / 2) * 0.03,
        (picture.light_at[1] - picture.horizon / 2) * 0.03 - picture.unit * 0.006,
    )
    light = relief(flat.filter(ImageFilter.GaussianBlur(picture.unit / 400)), towards, 2.0)
    thick = flat.point(smooth_step(cover + 0.1, cover + 0.5, 0.8))
    light = ImageChops.subtract(light, thick.point(curve(lambda v: v * 0.45)))
    glow = radial(sky_size, picture.light_at, picture.unit * 0.95, 1.5)
    through = 0.1 if scene.weather in ("storm", "rain") else 0.45
    light = ImageChops.add(light, glow.point(curve(lambda v: v * through)))
    paint = Image.composite(
        Image.new("RGB", sky_size, picture.palette.cloud_lit),
        Image.new("RGB", sky_size, picture.palette.cloud_shade),
        light.point(smooth_step(0.2, 0.72)),
    )
    picture.image.paste(paint, (0, 0), body)
    if "rainbow" in scene.extras:
        _paint_rainbow(picture)
    if scene.weather == "storm":
        _paint_lightning(picture)


def _paint_rainbow(picture: Picture) -> None:
    wide = picture.size[0]
    centre = (wide - picture.light_at[0], picture.horizon * 1.12)
    radius, band = picture.unit * 0.56, picture.unit * 0.011
    bow: tuple[RGB, ...] = tuple(
        map(rgb, ("#ff3b3b", "#ff9a2e", "#ffe94d", "#5fe06b", "#4cb6ff", "#5a6bff", "#a25bff"))
    )
    ground = fade(picture.size, picture.horizon, picture.horizon * 0.35)
    for number, colour in enumerate(bow):
        ring = Outline(picture.size)
        ring.ellipse(centre, radius - number * band)
        ring.ellipse(centre, radius - (number + 1.6) * band, value=0)
        soft = ring.mask().filter(ImageFilter.GaussianBlur(band * 0.7))
        picture.shine(colour, ImageChops.multiply(soft, ground).point(curve(lambda v: v * 0.34)))


def _paint_lightning(picture: Picture) -> None:
    rng, unit = picture.rng, picture.unit
    bolt, halo = Outline(picture.size), Outline(picture.size)
    x, y = picture.size[0] * rng.uniform(0.2, 0.8), picture.horizon * 0.12
    path = [(x, y)]
    while y < picture.horizon:
        y += unit * rng.uniform(0.012, 0.035)
        x += unit * rng.gauss(0, 0.017)
        path.append((x, y))
        if rng.random() < 0.16:
            side, reach = rng.choice((-1, 1)), rng.randint(3, 7)
            twig = [(x, y)]
            for _ in range(reach):
                twig.append(
                    (twig[-1][0] + side * unit * rng.uniform(0.008, 0.03), twig[-1][1] + unit * rng.uniform(0, 0.03))
                )
            bolt.line(twig, unit * 0.0016, 150)
            halo.line(twig, unit * 0.004, 90)
    bolt.line(path, unit * 0.0036)
    halo.line(path, unit * 0.012, 200)
    flash = radial(picture.size, (path[0][0], path[0][1]), unit * 0.85, 2.0, 0.7)
    picture.shine(rgb("#8fa4d8"), flash.point(curve(lambda v: v * 0.6)))
    picture.shine(rgb("#9db4ff"), halo.mask().filter(ImageFilter.GaussianBlur(unit * 0.012)))
    picture.shine(darker(rgb("#ffffff"), 1.0), bolt.mask())
