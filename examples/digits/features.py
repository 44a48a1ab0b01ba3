"""Pictures as the classifier wants them: 8 by 8 pixels from 0 (paper) to 1 (ink)."""

from typing import Any

import numpy as np
from PIL import Image, ImageOps

SIDE = 8
INK = 16.0  # as scikit-learn's pictures count it


def features(path: Any) -> np.ndarray:
    """The picture as one row of 64 numbers.

    Raises:
        ValueError: it is no picture, or nothing is on it.
    """
    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGBA")
    except OSError as error:
        raise ValueError(f"this is not a picture that Pillow can read: {error}") from error
    paper = Image.new("RGBA", picture.size, "white")
    gray = np.asarray(Image.alpha_composite(paper, picture).convert("L"), dtype=float)
    border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
    ink = np.abs(gray - np.median(border))  # dark on light or light on dark: the border is paper
    if ink.max() < 32:
        raise ValueError("nothing is on this picture")
    ink = framed(ink / ink.max())
    small = Image.fromarray((ink * 255).astype("uint8")).resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=float).reshape(1, -1) / 255


def framed(ink: np.ndarray) -> np.ndarray:
    """What is drawn, cut out and set into the middle of a square as high as it is."""
    rows, columns = np.nonzero(ink > 0.3)
    cut = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    side = max(cut.shape)
    square = np.zeros((side, side))
    top, left = (side - cut.shape[0]) // 2, (side - cut.shape[1]) // 2
    square[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    return square
