"""Learn the filters of demo/upscale, from pictures of our own, in seconds.

    python train.py            # writes weights.npz beside this file, and shows how good it is

The pictures are landscapes by demo/paint, and drawings of lines, shapes and letters. Each is made small; the small
one is enlarged again softly; and for each class of pixels the weights are found that bring the enlargement closest to
the picture, by ridge-regularised least squares. Pictures are also turned and mirrored, which gives eight for one.
"""

import random
import string
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from upscaler import CLASSES, REACH, TAPS, Plane, Weights, classify, double, enlarge, gradients

HERE: Final = Path(__file__).resolve().parent
WEIGHTS_FILE: Final = HERE / "weights.npz"
SIDE: Final = 256
RIDGE: Final = 1e-4
"""How much a class's weights are held back, relative to the strength of its data."""

TRAINING_PROMPTS: Final = (
    "mountains in snow at dawn", "misty forest", "city skyline at night", "sea with boats at sunset",
    "desert dunes with cactus", "hills with flowers", "lake and cabin in autumn", "storm and lighthouse at sea",
    "balloons over mountains", "purple dusk over a lake", "winter forest", "starry night over the hills",
)  # fmt: skip
HELD_OUT_PROMPTS: Final = (
    "a lighthouse at dusk", "alps at noon", "a red city at sunset", "pine forest in the rain",
    "meadow with poppies and balloons", "moonlit lake",
)  # fmt: skip


def training_pictures() -> Iterator[Plane]:
    for seed, prompt in enumerate(TRAINING_PROMPTS):
        yield landscape(prompt, seed)
        yield drawing(seed)


def held_out_pictures() -> Iterator[tuple[str, Plane]]:
    """Pictures of the same kinds that no weight has seen, with names."""
    for seed, prompt in enumerate(HELD_OUT_PROMPTS, start=1000):
        yield prompt, landscape(prompt, seed)
        yield f"drawing {seed}", drawing(seed)


def landscape(prompt: str, seed: int) -> Plane:
    """A picture by demo/paint, painted larger, so that it is sharp to the last pixel."""
    folder = str(HERE.parent / "paint")
    if folder not in sys.path:
        sys.path.append(folder)
    from studio import paint

    *_, picture = paint(prompt, (SIDE * 2, SIDE * 2), seed)
    return _luminance(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def drawing(seed: int) -> Plane:
    """Lines, shapes and letters of many sizes, drawn larger, so that their edges are smooth."""
    rng, side = random.Random(seed), SIDE * 4
    picture = Image.new("L", (side, side), rng.randint(0, 255))
    draw = ImageDraw.Draw(picture)
    for _ in range(26):
        x, y, long = rng.uniform(0, side), rng.uniform(0, side), rng.uniform(0.05, 0.5) * side
        tone, kind = rng.randint(0, 255), rng.random()
        end = (x + rng.uniform(-long, long), y + rng.uniform(-long, long))
        if kind < 0.45:
            draw.line([(x, y), end], fill=tone, width=rng.randint(3, 30))
        elif kind < 0.65:
            draw.ellipse((x, y, x + long * 0.5, y + long * rng.uniform(0.2, 0.6)), fill=tone)
        elif kind < 0.8:
            draw.polygon([(x, y), end, (x + long * 0.4, y)], fill=tone)
        else:
            draw.arc((x, y, x + long, y + long), rng.randint(0, 180), rng.randint(200, 360), tone, rng.randint(3, 20))
    for _ in range(22):
        text = "".join(rng.choices(string.ascii_letters + string.digits, k=rng.randint(3, 12)))
        place = (rng.uniform(-0.05, 0.9) * side, rng.uniform(0, 0.95) * side)
        draw.text(place, text, fill=rng.randint(0, 255), font=ImageFont.load_default(rng.uniform(36, 150)))
    return _luminance(picture.reduce(4))


def smaller(picture: Plane, way: Image.Resampling) -> Plane:
    """Half the size."""
    size = (picture.shape[1] // 2, picture.shape[0] // 2)
    return np.asarray(Image.fromarray(picture).resize(size, way), dtype=np.float32)


def train(pictures: Iterable[Plane]) -> Weights:
    """Find the weights that bring soft enlargements of small versions of these pictures closest to them."""
    pairs = []
    for number, picture in enumerate(pictures):
        way = (Image.Resampling.BOX, Image.Resampling.LANCZOS)[number // 2 % 2]
        pairs.append((enlarge(smaller(picture, way)), picture))
    strength_limits, coherence_limits = _limits(soft for soft, _ in pairs)
    products = np.zeros((CLASSES, TAPS, TAPS), dtype=np.float64)
    targets = np.zeros((CLASSES, TAPS), dtype=np.float64)
    for soft, picture in pairs:
        for turned_soft, turned in zip(_turned(soft), _turned(picture), strict=True):
            classes = classify(turned_soft, strength_limits, coherence_limits)
            _collect(turned_soft, turned, classes, products, targets)
    return Weights(_solve(products, targets), strength_limits, coherence_limits)


def _limits(softs: Iterable[Plane]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Limits that part the pixels which are not flat into thirds."""
    strengths, coherences = [], []
    for soft in softs:
        _, strength, coherence = gradients(soft)
        seen = strength > 1.0
        strengths.append(strength[seen])
        coherences.append(coherence[seen])
    thirds = (1 / 3, 2 / 3)
    strong = np.quantile(np.concatenate(strengths), thirds).astype(np.float32)
    clear = np.quantile(np.concatenate(coherences), thirds).astype(np.float32)
    return strong, clear


def _turned(plane: Plane) -> Iterator[Plane]:
    for quarter in range(4):
        turned = np.rot90(plane, quarter)
        yield np.ascontiguousarray(turned)
        yield np.ascontiguousarray(turned[:, ::-1])


def _collect(
    soft: Plane, picture: Plane, classes: NDArray[np.intp], products: NDArray[np.float64], targets: NDArray[np.float64]
) -> None:
    inner = (slice(REACH, -REACH), slice(REACH, -REACH))
    windows = np.lib.stride_tricks.sliding_window_view(soft, (2 * REACH + 1, 2 * REACH + 1))
    patches = windows.reshape(-1, TAPS) - soft[inner].reshape(-1, 1)
    missing = (picture - soft)[inner].ravel()
    flat_classes = classes[inner].ravel()
    order = np.argsort(flat_classes, kind="stable")
    bounds = np.searchsorted(flat_classes[order], np.arange(CLASSES + 1))
    for number in range(CLASSES):
        rows = order[bounds[number] : bounds[number + 1]]
        if len(rows):
            found = patches[rows]
            products[number] += found.T @ found
            targets[number] += found.T @ missing[rows]


def _solve(products: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float32]:
    filters = np.zeros_like(targets)
    for number in range(CLASSES):
        hold = RIDGE * np.trace(products[number]) + 1.0  # a class without data keeps weights of 0: plain bicubic
        filters[number] = np.linalg.solve(products[number] + hold * np.eye(TAPS), targets[number])
    return filters.astype(np.float32)


def psnr(picture: Plane, other: Plane) -> float:
    """Peak signal to noise, in dB, as the pictures would be saved; higher is closer."""
    error = np.mean((np.clip(np.rint(picture), 0, 255) - np.clip(np.rint(other), 0, 255)) ** 2)
    return float(10 * np.log10(255.0**2 / max(float(error), 1e-9)))


def _luminance(picture: Image.Image) -> Plane:
    return np.asarray(picture.convert("L"), dtype=np.float32)


def main() -> None:
    train(training_pictures()).save(WEIGHTS_FILE)
    weights = Weights.load(WEIGHTS_FILE)
    print(f"{WEIGHTS_FILE.name}: {WEIGHTS_FILE.stat().st_size:,} bytes")
    for way in (Image.Resampling.BOX, Image.Resampling.LANCZOS):
        plain, learned = [], []
        for name, picture in held_out_pictures():
            small = smaller(picture, way)
            plain.append(psnr(picture, enlarge(small)))
            learned.append(psnr(picture, double(small, weights)))
            print(f"{way.name:8} {name:34} bicubic {plain[-1]:6.2f} dB   learned {learned[-1]:6.2f} dB")
        print(f"{way.name:8} {'mean':34} bicubic {np.mean(plain):6.2f} dB   learned {np.mean(learned):6.2f} dB\n")


if __name__ == "__main__":
    main()
