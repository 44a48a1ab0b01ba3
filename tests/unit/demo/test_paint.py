import random
import re
from itertools import product

import pytest
from PIL import Image

from unit.demo.loading import load

run = load("paint", "run.py")
words = load("paint", "words.py")


def painted(**inputs):
    runner = run.Runner()
    runner.setup()
    given = {"prompt": "a lake", "width": 96, "height": 64, "seed": 1, "num_outputs": 1, "output_format": "webp"}
    pictures = []
    for file in runner.run(**{**given, **inputs}):
        with Image.open(file) as picture:
            picture.load()
            pictures.append((file.name, picture.copy(), picture.format))
    return pictures


@pytest.mark.parametrize(("name", "format"), [("webp", "WEBP"), ("png", "PNG"), ("jpg", "JPEG")])
def test_a_picture_has_the_format_and_size_asked_for(name, format):
    [(file_name, picture, found)] = painted(output_format=name, width=100, height=80)

    assert (file_name, picture.size, found) == (f"out-0.{name}", (100, 80), format)


def test_the_same_prompt_and_seed_give_the_same_pixels():
    [(_, first, _)], [(_, second, _)] = painted(output_format="png"), painted(output_format="png")

    assert first.tobytes() == second.tobytes()


def test_another_seed_gives_another_picture():
    [(_, first, _)], [(_, second, _)] = painted(output_format="png"), painted(output_format="png", seed=2)

    assert first.tobytes() != second.tobytes()


def test_without_a_seed_the_prompt_decides():
    same = [painted(output_format="png", seed=None)[0][1].tobytes() for _ in range(2)]
    other = painted(output_format="png", seed=None, prompt="another lake")[0][1].tobytes()

    assert same[0] == same[1] != other


def test_several_pictures_have_seeds_that_count_up():
    three = [picture.tobytes() for _, picture, _ in painted(output_format="png", num_outputs=3)]
    later = [picture.tobytes() for _, picture, _ in painted(output_format="png", seed=2)]

    assert len(set(three)) == 3
    assert three[1] == later[0]


def test_progress_has_the_shape_that_clients_read(capsys):
    painted(num_outputs=2)

    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert all(re.match(r"^\s*\d+%\|.+?\|\s*\d+/16$", line) for line in lines)
    assert lines[0] == "  0%|          | 0/16"
    assert lines[8] == " 50%|#####     | 8/16"
    assert lines[-1] == "100%|##########| 16/16"
    assert printed.out == "Using seed: 1\n"


GROUNDS = ["sea", "lake", "city", "desert", "forest", "mountains", "hills"]
MOODS = ["storm at dusk", "snow by day", "fog at dawn", "rain at night", "clouds at sunset"]


@pytest.mark.parametrize(("ground", "mood"), list(product(GROUNDS, MOODS)))
def test_every_ground_is_painted_in_every_mood_and_shape(ground, mood):
    extras = "boat lighthouse cabin balloons cactus birds fireflies flowers rainbow aurora comet stars autumn island"

    for size in ((64, 64), (160, 64), (64, 160)):
        [(_, picture, _)] = painted(prompt=f"{ground}, {mood}, {extras}", width=size[0], height=size[1])
        assert len(picture.getcolors(size[0] * size[1])) > 50


@pytest.mark.parametrize("prompt", ["", "\n", "静かな湖", "🌊", "x" * 2000, "\x00"])
def test_any_prompt_gives_a_picture(prompt):
    assert len(painted(prompt=prompt, seed=None)) == 1


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("moonlit desert at night", ("night", "desert", None, "")),
        ("Stormy seas!", (None, "sea", "storm", "")),
        ("a red sunset over the Alps", ("golden", "mountain", None, "red")),
        ("snowy forests at dawn", ("dawn", "forest", "snow", "")),
        ("foggy cities at dusk", ("dusk", "city", "fog", "")),
        ("lavender fields at noon", ("day", "hills", None, "")),
    ],
)
def test_words_choose_the_scene(prompt, expected):
    scene = words.read_scene(prompt, random.Random(0))

    for found, wanted in zip((scene.time, scene.ground, scene.weather, scene.hue), expected, strict=True):
        assert wanted in (None, found)


def test_night_is_darker_than_day():
    def brightness(prompt):
        [(_, picture, _)] = painted(prompt=prompt)
        return sum(picture.convert("L").histogram()[level] * level for level in range(256))

    assert brightness("mountains at night") < 0.6 * brightness("mountains by day")
