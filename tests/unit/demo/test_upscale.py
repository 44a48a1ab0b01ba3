import sys

import numpy as np
import pytest
from PIL import Image

from unit.demo.loading import load

run = load("upscale", "run.py")
train = load("upscale", "train.py")


@pytest.fixture(scope="module")
def runner():
    made = run.Runner()
    made.setup()
    return made


@pytest.mark.parametrize("way", [Image.Resampling.BOX, Image.Resampling.LANCZOS], ids=["box", "lanczos"])
def test_learned_filters_beat_bicubic_on_every_picture_they_never_saw(runner, way):
    gains = {}
    for name, picture in train.held_out_pictures():
        small = train.smaller(picture, way)
        learned = train.double(small, runner.weights)
        gains[name] = train.psnr(picture, learned) - train.psnr(picture, train.enlarge(small))

    assert min(gains.values()) > 0.1, gains
    assert sum(gains.values()) / len(gains) > 0.6, gains


def test_training_on_a_few_pictures_already_beats_bicubic():
    weights = train.train([train.drawing(1), train.drawing(2)])
    picture = train.drawing(1001)
    small = train.smaller(picture, Image.Resampling.BOX)

    assert train.psnr(picture, train.double(small, weights)) > train.psnr(picture, train.enlarge(small)) + 0.3


def test_the_weights_are_small_and_hold_no_objects():
    assert train.WEIGHTS_FILE.stat().st_size < 50_000
    with np.load(train.WEIGHTS_FILE, allow_pickle=False) as arrays:
        assert {name: arrays[name].dtype.kind for name in arrays} == dict.fromkeys(
            ("filters", "strength_limits", "coherence_limits"), "f"
        )


def test_weights_of_another_shape_are_refused(tmp_path):
    file = tmp_path / "w.npz"
    np.savez(file, filters=np.zeros((2, 49)), strength_limits=np.zeros(2), coherence_limits=np.zeros(2))

    with pytest.raises(ValueError, match=r"w\.npz holds filters \(2, 49\).*train again"):
        train.Weights.load(file)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1", "LA", "I;16"])
def test_every_kind_of_picture_comes_back_larger(runner, tmp_path, mode, scale):
    file = tmp_path / "in.png"
    Image.effect_noise((31, 17), 60).convert("RGB").convert("L" if mode == "I;16" else mode).convert(mode).save(file)

    large = runner.run(image=run.Path(file), scale=scale)

    with Image.open(large) as found:
        assert found.size == (31 * scale, 17 * scale)
        assert found.mode == ("RGBA" if mode in ("RGBA", "LA") else "RGB")
    assert large.name == f"in-{scale}x.png"


def test_one_pixel_and_flat_pictures_stay_as_they_are(runner, tmp_path):
    for size in ((1, 1), (1, 40), (70, 40)):
        file = tmp_path / "flat.png"
        Image.new("RGB", size, (10, 120, 200)).save(file)
        with Image.open(runner.run(image=run.Path(file), scale=2)) as large:
            low_high = large.getextrema()
        assert all(high - low <= 1 for low, high in low_high)


def test_a_rotated_photograph_is_put_upright(runner, tmp_path):
    file = tmp_path / "phone.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn me by a quarter"
    Image.new("RGB", (40, 20)).save(file, exif=exif)

    with Image.open(runner.run(image=run.Path(file), scale=2)) as large:
        assert large.size == (40, 80)


def test_what_is_no_picture_is_named(runner, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("hello")

    with pytest.raises(ValueError, match=r"notes\.txt cannot be read as a picture"):
        runner.run(image=run.Path(file), scale=2)


def test_a_broken_picture_is_named(runner, tmp_path):
    whole = tmp_path / "whole.png"
    Image.effect_noise((64, 64), 60).save(whole)
    file = tmp_path / "half.png"
    file.write_bytes(whole.read_bytes()[:1500])

    with pytest.raises(ValueError, match=r"half\.png cannot be read as a picture"):
        runner.run(image=run.Path(file), scale=2)


def test_a_picture_that_would_be_too_large_is_refused_before_it_is_read(runner, tmp_path):
    file = tmp_path / "huge.png"
    Image.new("1", (12_000, 9_000)).save(file)

    with pytest.raises(ValueError, match=r"12000 x 9000 at 2 times the size is 432,000,000 pixels"):
        runner.run(image=run.Path(file), scale=2)


def test_progress_ends_at_all_rows(runner, tmp_path, capsys):
    file = tmp_path / "in.png"
    Image.new("RGB", (20, 50)).save(file)

    runner.run(image=run.Path(file), scale=4)

    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "  0%|          | 0/300"
    assert lines[-1] == "100%|##########| 300/300"


def test_without_numpy_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "numpy", None)

    with pytest.raises(ImportError, match=r"pip install 'halley\[demo\]'"):
        load("upscale", "run.py")
