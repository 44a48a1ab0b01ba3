"""From the words of a prompt to a scene: when, where, what weather, and what else is in the picture."""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_TIMES: Final[Mapping[str, str]] = {  # in order of strength: "sunset with stars" is a night
    "night": "night midnight moon moonlit moonlight star starry dark nocturne milky galaxy aurora northern "
    "firefly lantern comet",
    "golden": "golden gold sunset evening amber warm autumn fall savanna",
    "dusk": "dusk twilight gloaming neon",
    "dawn": "dawn sunrise morning daybreak early misty spring sakura",
    "day": "day noon midday sunny bright summer daylight turquoise tropical rainbow balloon",
}
_GROUNDS: Final[Mapping[str, str]] = {
    "sea": "sea ocean beach coast wave island harbor harbour bay boat ship sail sailboat lighthouse gull surf marine",
    "lake": "lake river pond fjord reflection mirror canoe swan",
    "city": "city town skyline building skyscraper street downtown metropolis urban cyberpunk tokyo york paris london",
    "desert": "desert dune sahara sand cactus oasis arid mars",
    "forest": "forest wood tree pine fir jungle grove woodland taiga owl deer",
    "mountain": "mountain alp peak cliff summit himalaya glacier volcano ridge everest valley",
    "hills": "hill meadow field countryside prairie grass farm pasture garden lavender poppy sunflower tulip "
    "flower village",
}
_WEATHERS: Final[Mapping[str, str]] = {
    "storm": "storm stormy thunder lightning tempest thunderstorm",
    "snow": "snow snowy winter ice arctic blizzard snowfall frozen frosty",
    "rain": "rain rainy drizzle shower monsoon",
    "fog": "fog foggy mist misty haze hazy",
    "clouds": "cloud cloudy overcast",
    "clear": "clear cloudless",
}
_HUES: Final[Mapping[str, str]] = {
    "red": "red crimson scarlet mars ruby",
    "orange": "orange amber copper",
    "gold": "gold golden yellow",
    "green": "green emerald jade",
    "teal": "teal turquoise cyan aqua",
    "blue": "blue azure sapphire indigo",
    "purple": "purple violet lilac",
    "pink": "pink rose magenta sakura",
}
_EXTRAS: Final[Mapping[str, str]] = {
    "birds": "bird gull swan seagull crow geese",
    "boat": "boat ship sail sailboat sailing harbor harbour",
    "lighthouse": "lighthouse beacon",
    "cabin": "cabin house cottage hut home village farm",
    "balloons": "balloon",
    "aurora": "aurora borealis northern",
    "moon": "moon moonlit moonlight",
    "stars": "star starry milky galaxy",
    "comet": "comet meteor halley",
    "flowers": "flower lavender poppy sunflower tulip meadow garden spring blossom",
    "lavender": "lavender",
    "poppies": "poppy",
    "sunflowers": "sunflower",
    "fireflies": "firefly lantern",
    "rainbow": "rainbow",
    "island": "island",
    "autumn": "autumn fall",
    "blossom": "sakura cherry blossom",
    "cactus": "cactus cacti",
}


@dataclass(frozen=True)
class Scene:
    """What to paint; every picture of one prompt shares it, the seed decides the rest."""

    time: str
    ground: str
    weather: str
    hue: str
    """A colour that the prompt names, or empty."""
    extras: frozenset[str]

    @property
    def is_night(self) -> bool:
        return self.time == "night"

    @property
    def has_water(self) -> bool:
        return self.ground in ("sea", "lake")


def read_scene(prompt: str, rng: random.Random) -> Scene:
    """Choose a scene from the prompt's words; what they leave open is drawn from `rng`.

    The same number of random numbers is drawn for every prompt, so one seed gives comparable pictures.
    """
    words = [_singular(word) for word in re.findall(r"[a-z]+", prompt.lower())]
    some_time = rng.choice(("dawn", "dawn", "day", "golden", "golden", "dusk", "night"))
    some_ground = rng.choice(("mountain", "mountain", "lake", "lake", "hills", "sea", "forest"))
    some_weather = rng.choice(("clear", "clouds", "clouds"))
    if _first(words, _WEATHERS) == "snow":  # snow looks best in cool light
        some_time = {"golden": "dusk", "night": "day"}.get(some_time, some_time)
    return Scene(
        time=_first(words, _TIMES) or some_time,
        ground=_first(words, _GROUNDS) or some_ground,
        weather=_first(words, _WEATHERS) or some_weather,
        hue=_first(words, _HUES) or "",
        extras=frozenset(extra for extra, names in _EXTRAS.items() if not set(words).isdisjoint(names.split())),
    )


def _first(words: list[str], vocabulary: Mapping[str, str]) -> str | None:
    """The strongest entry, in the vocabulary's order, that a word of the prompt belongs to."""
    return next((entry for entry, names in vocabulary.items() if not set(words).isdisjoint(names.split())), None)


def _singular(word: str) -> str:
    if word in ("alps", "himalayas"):
        return word[:-1]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        return word[:-1]
    return word
