"""The colours of a scene: a few skies that look good, varied a little and tinted by the prompt."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from colour import RGB, darker, mix, rgb, toward_hue, under_light
from words import Scene


@dataclass(frozen=True)
class Palette:
    """Colours from the far sky to the nearest ground."""

    sky: tuple[RGB, ...]
    """From the zenith down to the horizon."""
    light: RGB
    """The disc of the sun or moon."""
    glow: RGB
    cloud_lit: RGB
    cloud_shade: RGB
    near: RGB
    """The darkest ground, closest to the eye."""
    ambient: RGB
    """The light that falls on things."""

    @property
    def haze(self) -> RGB:
        """What far things fade into."""
        return mix(self.sky[-1], self.sky[-2], 0.35)


def _palette(sky: str, light: str, glow: str, lit: str, shade: str, near: str, ambient: str) -> Palette:
    return Palette(
        sky=tuple(rgb(stop) for stop in sky.split()),
        light=rgb(light),
        glow=rgb(glow),
        cloud_lit=rgb(lit),
        cloud_shade=rgb(shade),
        near=rgb(near),
        ambient=rgb(ambient),
    )


_SKIES: Final[Mapping[str, Sequence[Palette]]] = {
    "dawn": (
        _palette("#41568c #8b86b8 #e3a9ae #fbd7b5", "#fff4dc", "#ffd9a8", "#ffe3d3", "#a58bab", "#1f2d45", "#e9c8c4"),
        _palette("#3f6f9f #86b1c9 #e9d3bf #fce7c3", "#fffbe8", "#ffe7b5", "#fff3e2", "#9fb0bf", "#1f3a44", "#f0dcc2"),
        _palette("#5b5f97 #b394bb #f2b5b0 #ffe0c0", "#fff6e4", "#ffd0b0", "#ffe9df", "#a98fb5", "#2a2748", "#eac5cc"),
    ),
    "day": (
        _palette("#1f5fa6 #4b93d1 #97c7e8 #e2f0f4", "#fffdf0", "#fff6d6", "#ffffff", "#a7bdd2", "#12332f", "#fffaf0"),
        _palette("#2a6f97 #5aa3bf #a9d6df #f3eed9", "#fffdf2", "#fff1c9", "#fffdf6", "#a9bcc4", "#14373a", "#fff6e3"),
        _palette("#3568b0 #6d9bd8 #b4cdf0 #eef0f6", "#ffffff", "#f8f6e8", "#ffffff", "#b3bfda", "#172c44", "#f7f6ff"),
    ),
    "golden": (
        _palette("#2f4374 #a5627f #f09a5f #ffdc94", "#fff3c9", "#ffb65c", "#ffc48c", "#7d5573", "#271a2e", "#ffbe8a"),
        _palette("#35507e #8d86a0 #f0b078 #ffe3a3", "#fff6d4", "#ffcb73", "#ffdcae", "#8a7388", "#26252f", "#ffcf9a"),
        _palette("#4a2f5f #b5485f #f47c4b #ffc86b", "#ffeab0", "#ff9a4a", "#ff9f76", "#6d3a5c", "#26132a", "#ffae7c"),
    ),
    "dusk": (
        _palette("#1b1d47 #503a7d #b45b8c #f5a883", "#ffe6d0", "#ff9e8a", "#e58aa0", "#4b3a70", "#120f2c", "#9c7fae"),
        _palette("#152447 #33557f #8b7fa6 #f0b79b", "#fff0dd", "#ffb89a", "#d9a1ab", "#3d4f77", "#0d1a2f", "#8f92b8"),
        _palette("#24143f #5f2f73 #c2547f #ff9d7d", "#ffe2cf", "#ff8f86", "#f0859a", "#51306a", "#170d2a", "#a878a4"),
    ),
    "night": (
        _palette("#050a1f #0c1a3d #1d3763 #44668f", "#f7f3e0", "#a9c4ea", "#4f6c97", "#12213f", "#04091a", "#5a74a8"),
        _palette("#070719 #15143a #2f2b62 #5d5690", "#f6f0ea", "#b9b0ee", "#5d5793", "#171538", "#06051a", "#6a68a8"),
        _palette("#04121c #08283a #124a5c #3f7f88", "#f1f5e4", "#9fded8", "#45787f", "#0a2431", "#020c14", "#55909a"),
    ),
}

_GROUND_TINTS: Final[Mapping[str, str]] = {
    "mountain": "#55657f",
    "lake": "#3f6167",
    "hills": "#6f9a4a",
    "sea": "#3c5a66",
    "forest": "#2f5a45",
    "desert": "#d08a52",
    "city": "#39415c",
}
_GREY_SKY: Final[Mapping[str, tuple[str, float]]] = {  # weather: the grey of its sky and how much of it
    "storm": ("#2b333f", 0.8),
    "rain": ("#77838f", 0.6),
    "fog": ("#c3ccd0", 0.45),
    "snow": ("#c9d5e2", 0.5),
}


def choose_palette(scene: Scene, rng: random.Random) -> Palette:
    """One of the scene's skies, turned a little by chance, toward the prompt's colour, and by the weather."""
    palette = rng.choice(_SKIES[scene.time])
    drift, strength = rng.choice(("purple", "teal", "gold", "pink", "blue")), rng.uniform(0.0, 0.14)
    palette = _recoloured(palette, drift, strength)
    if scene.hue:
        palette = _recoloured(palette, scene.hue, 0.1 if scene.hue == "green" else 0.6)  # few skies are green
    if scene.weather in _GREY_SKY:
        palette = _overcast(palette, *_GREY_SKY[scene.weather], night=scene.is_night)
    return palette


def ground_colour(scene: Scene, palette: Palette, depth: float) -> RGB:
    """The ground's colour at a depth from 0 (the horizon, all air) to 1 (at our feet)."""
    lit = under_light(_ground_tint(scene), palette.ambient)
    if scene.is_night:
        lit = mix(lit, palette.sky[2], 0.4)
    air = mix(palette.haze, palette.sky[1], 0.5)  # far land takes the colour of the air before it
    if depth < 0.5:
        return mix(mix(palette.haze, air, 0.55 + 0.9 * depth), lit, max(0.0, 1.5 * (depth - 0.08)))
    open_land = scene.ground in ("desert", "hills") and not scene.is_night
    dark = mix(palette.near, darker(lit, 0.62), 0.85 if open_land else 0.4 if scene.is_night else 0.28)
    if scene.weather == "snow":
        dark = mix(dark, lit, 0.2)
    return mix(mix(air, lit, 0.63), dark, (depth - 0.5) * 2)


def snow_colour(palette: Palette) -> RGB:
    return under_light(rgb("#fbfdff"), mix(palette.ambient, rgb("#ffffff"), 0.5))


def _ground_tint(scene: Scene) -> RGB:
    tint = rgb(_GROUND_TINTS[scene.ground])
    if scene.weather == "snow":
        return mix(tint, rgb("#cfdcec"), 0.5)
    if "autumn" in scene.extras:
        return mix(tint, rgb("#b8642c"), 0.7 if scene.ground == "forest" else 0.35)
    if "blossom" in scene.extras and scene.ground == "forest":
        return mix(tint, rgb("#d88ca6"), 0.5)
    if scene.hue:
        return toward_hue(tint, scene.hue, 0.45)
    return tint


def _recoloured(palette: Palette, hue: str, strength: float) -> Palette:
    def turned(colour: RGB) -> RGB:
        return toward_hue(colour, hue, strength)

    return replace(
        palette,
        sky=tuple(turned(stop) for stop in palette.sky),
        glow=toward_hue(palette.glow, hue, strength * 0.5),
        cloud_lit=toward_hue(palette.cloud_lit, hue, strength * 0.6),
        cloud_shade=turned(palette.cloud_shade),
        near=turned(palette.near),
        ambient=toward_hue(palette.ambient, hue, strength * 0.5),
    )


def _overcast(palette: Palette, grey_name: str, amount: float, *, night: bool) -> Palette:
    grey = under_light(rgb(grey_name), mix(palette.ambient, rgb("#ffffff"), 0.0 if night else 0.35))

    def greyed(colour: RGB, share: float = 1.0) -> RGB:
        return mix(colour, grey, amount * share)

    low = len(palette.sky) - 1
    return replace(
        palette,
        sky=tuple(greyed(stop, 1.0 - 0.45 * place / low) for place, stop in enumerate(palette.sky)),
        cloud_lit=darker(greyed(palette.cloud_lit, 0.75), 0.72 if amount > 0.7 else 1.0),
        cloud_shade=darker(greyed(palette.cloud_shade), 0.78),
        ambient=mix(palette.ambient, grey, amount * 0.5),
    )
