"""One picture from its prompt and seed, stage by stage."""

import random
from collections.abc import Iterator
from typing import Final

from canvas import Picture
from details import paint_finish, paint_life
from land import paint_far_land, paint_near_land
from palette import choose_palette
from PIL import Image
from sky import paint_air, paint_clouds, paint_lights
from water import paint_water
from words import Scene, read_scene

STAGES: Final[int] = 8
"""How many pictures `paint` yields: the first is empty air, the last is finished."""

_HORIZON: Final[dict[str, float]] = {  # where the sky ends, as a share of the height
    "sea": 0.58,
    "lake": 0.6,
    "mountain": 0.66,
    "forest": 0.56,
    "hills": 0.56,
    "desert": 0.55,
    "city": 0.66,
}


def paint(prompt: str, size: tuple[int, int], seed: int) -> Iterator[Image.Image]:
    """Yield the picture after each of its stages; the same prompt, size and seed give the same pixels."""
    rng = random.Random(seed)
    scene = read_scene(prompt, rng)
    picture = _sketch(scene, size, rng)
    stages = (
        paint_air,
        paint_lights,
        paint_clouds,
        paint_far_land,
        paint_water if scene.has_water else _nothing,
        paint_near_land,
        paint_life,
        paint_finish,
    )
    for stage in stages:
        stage(picture)
        yield picture.image


def _sketch(scene: Scene, size: tuple[int, int], rng: random.Random) -> Picture:
    """Settle what all stages share: the horizon, and where the light comes from."""
    wide, high = size
    horizon = min(high - 4, max(8, round(high * (_HORIZON[scene.ground] + rng.uniform(-0.025, 0.025)))))
    side = rng.choice((rng.uniform(0.2, 0.4), rng.uniform(0.6, 0.8)))
    # how high the light stands above the horizon, as a share of the sky
    height = {"dawn": (0.2, 0.36), "golden": (0.14, 0.3), "dusk": (0.05, 0.14)}.get(scene.time, (0.55, 0.75))
    if scene.ground == "sea" and scene.time in ("dawn", "golden"):
        height = (0.1, 0.24)
    elif scene.ground in ("mountain", "lake", "city", "forest") and scene.time in ("dawn", "golden", "dusk"):
        height = (height[0] + 0.2, height[1] + 0.24)
    lift = rng.uniform(*height)
    unit = (wide * high) ** 0.5
    return Picture(
        image=Image.new("RGB", size),
        scene=scene,
        palette=choose_palette(scene, rng),
        rng=rng,
        horizon=horizon,
        light_at=(wide * side, horizon * (1 - lift)),
        light_radius=unit * rng.uniform(0.034, 0.052),
    )


def _nothing(_: Picture) -> None:
    """Dry land needs no water."""
