"""Doubling a picture's size with learned filters.

A bicubic enlargement is soft, and how it is soft depends on what is there: an edge of some direction, a corner, or
nothing much. So every pixel of the enlargement is put into a class by the gradients around it, and gets a correction
from its 7 x 7 neighbours with that class's own weights, learned by least squares (`train.py`).

Source: the method follows "RAISR: Rapid and Accurate Image Super Resolution", Romano, Isidoro and Milanfar, 2016.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Plane = NDArray[np.float32]
"""One channel, values from 0 to 255."""

REACH: Final = 3
"""Neighbours are taken up to this far in each direction."""

TAPS: Final = (2 * REACH + 1) ** 2
ANGLES: Final = 8
STRENGTHS: Final = 3
COHERENCES: Final = 3
PHASES: Final = 4
"""Where a pixel of the enlargement lies inside the pixel that it came from: rows and columns, even or odd."""

CLASSES: Final = ANGLES * STRENGTHS * COHERENCES * PHASES

STRIP_ROWS: Final = 64
"""Rows that are worked on at a time: small enough to stay in the processor's cache."""

_BLUR: Final = np.array([0.06, 0.12, 0.19, 0.26, 0.19, 0.12, 0.06], dtype=np.float32)


@dataclass(frozen=True)
class Weights:
    """What was learned."""

    filters: NDArray[np.float32]
    """(CLASSES, TAPS): corrections for the differences between the neighbours and the middle."""
    strength_limits: NDArray[np.float32]
    """Two limits, in grey levels a pixel, that part flat, middling and strong gradients."""
    coherence_limits: NDArray[np.float32]
    """Two limits, between 0 and 1, that part texture, in between, and one clear direction."""

    def save(self, file: Path) -> None:
        np.savez_compressed(
            file,
            filters=self.filters.astype(np.float16),
            strength_limits=self.strength_limits,
            coherence_limits=self.coherence_limits,
        )

    @classmethod
    def load(cls, file: Path) -> "Weights":
        """Read what `save` wrote.

        Raises:
            ValueError: the file is of another shape than this code.
        """
        with np.load(file, allow_pickle=False) as arrays:
            weights = cls(*(arrays[name].astype(np.float32) for name in cls.__dataclass_fields__))
        if weights.filters.shape != (CLASSES, TAPS):
            raise ValueError(
                f"{file.name} holds filters {weights.filters.shape}; {(CLASSES, TAPS)} are needed: train again"
            )
        return weights


def enlarge(plane: Plane, factor: int = 2) -> Plane:
    """The plain bicubic enlargement that the learned one begins with."""
    size = (plane.shape[1] * factor, plane.shape[0] * factor)
    return np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC), dtype=np.float32)


def double(plane: Plane, weights: Weights, on_rows: Callable[[int], None] = lambda _: None) -> Plane:
    """The learned enlargement to twice the size; `on_rows` is called with the number of finished rows, strip by
    strip.
    """
    soft = enlarge(plane)
    padded = np.pad(soft, REACH, mode="edge")
    classes = classify(soft, weights.strength_limits, weights.coherence_limits)
    by_tap = np.ascontiguousarray(weights.filters.T)  # (TAPS, CLASSES)
    sharp = np.empty_like(soft)
    for top in range(0, soft.shape[0], STRIP_ROWS):
        rows = slice(top, min(top + STRIP_ROWS, soft.shape[0]))
        sharp[rows] = soft[rows] + _correction(padded, soft[rows], classes[rows], by_tap, top)
        on_rows(rows.stop - rows.start)
    return sharp


def _correction(padded: Plane, middle: Plane, classes: NDArray[np.intp], by_tap: Plane, top: int) -> Plane:
    total = np.zeros_like(middle)
    high, wide = middle.shape
    for tap in range(TAPS):
        down, across = divmod(tap, 2 * REACH + 1)
        neighbours = padded[top + down : top + down + high, across : across + wide]
        total += by_tap[tap].take(classes) * (neighbours - middle)
    return total


def gradients(soft: Plane) -> tuple[Plane, Plane, Plane]:
    """Angle (0 to pi), strength and coherence of the gradients around each pixel."""
    down, across = (part.astype(np.float32) for part in np.gradient(soft))
    xx, xy, yy = _blurred(across * across), _blurred(across * down), _blurred(down * down)
    half = np.sqrt(((xx - yy) / 2) ** 2 + xy * xy)
    middle = (xx + yy) / 2
    large, small = np.sqrt(np.maximum(middle + half, 0)), np.sqrt(np.maximum(middle - half, 0))
    angle = np.mod(np.arctan2(2 * xy, xx - yy) / 2, np.pi)
    return angle, large, (large - small) / np.maximum(large + small, 1e-6)


def classify(soft: Plane, strength_limits: Plane, coherence_limits: Plane) -> NDArray[np.intp]:
    """The class of every pixel of an enlargement, from 0 to CLASSES - 1."""
    angle, strength, coherence = gradients(soft)
    kind = np.minimum((angle * (ANGLES / np.pi)).astype(np.intp), ANGLES - 1)
    kind = kind * STRENGTHS + np.searchsorted(strength_limits, strength)
    kind = kind * COHERENCES + np.searchsorted(coherence_limits, coherence)
    kind *= PHASES
    kind[1::2] += 2
    kind[:, 1::2] += 1
    return kind


def _blurred(plane: Plane) -> Plane:
    """Weighted means over 7 x 7 pixels."""
    reach = len(_BLUR) // 2
    high, wide = plane.shape
    padded = np.pad(plane, reach, mode="edge")
    rows = sum(weight * padded[at : at + high] for at, weight in enumerate(_BLUR))
    both: Plane = sum(weight * rows[:, at : at + wide] for at, weight in enumerate(_BLUR))
    return both
