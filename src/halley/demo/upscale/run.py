"""demo/upscale: enlarges a picture two or four times, with learned filters."""

import sys
import tempfile
import warnings
from pathlib import PurePath

from cog import BaseRunner, Input, Path
from PIL import Image, ImageOps, UnidentifiedImageError

try:
    import numpy as np
except ImportError as missing:
    raise ImportError("demo/upscale needs NumPy, which is not installed: pip install 'halley[demo]'") from missing

from upscaler import Plane, Weights, double

MAX_OUTPUT_PIXELS = 4096 * 4096
"""About five seconds of work and half a gigabyte of memory."""

WEIGHTS_FILE = PurePath(__file__).with_name("weights.npz")


class Runner(BaseRunner):
    def setup(self) -> None:
        self.weights = Weights.load(Path(WEIGHTS_FILE))
        # one folder for the life of the process: each output is copied when it is reported, so names may repeat
        self.folder = tempfile.mkdtemp(prefix="demo-upscale-")

    def run(
        self,
        image: Path = Input(description="A picture: PNG, JPEG, WebP or another format that Pillow reads."),  # noqa: B008
        scale: int = Input(description="How many times as wide and high.", default=2, choices=[2, 4]),
    ) -> Path:
        """Enlarge the picture and return it as PNG."""
        picture = open_picture(image, scale)
        large = upscaled(picture, scale, self.weights)
        file = Path(self.folder, f"{image.stem}-{scale}x.png")
        large.save(file, compress_level=3)
        print(f"{picture.width} x {picture.height} -> {large.width} x {large.height}")
        return file


def open_picture(file: Path, scale: int) -> Image.Image:
    """Read a picture the right way up, as RGB, or as RGBA where it has transparent parts.

    Raises:
        ValueError: it is not a picture, or the result would be too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit below is stricter
            opened = Image.open(file)
        with opened:
            _check_size(opened, scale)
            upright = ImageOps.exif_transpose(opened)
            return upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as problem:
        raise ValueError(f"{file.name} cannot be read as a picture: {problem}") from problem


def _check_size(picture: Image.Image, scale: int) -> None:
    pixels = picture.width * picture.height * scale * scale
    if pixels > MAX_OUTPUT_PIXELS:
        raise ValueError(
            f"{picture.width} x {picture.height} at {scale} times the size is {pixels:,} pixels; at most "
            f"{MAX_OUTPUT_PIXELS:,} are made: use a smaller picture or a smaller scale"
        )


def upscaled(picture: Image.Image, scale: int, weights: Weights) -> Image.Image:
    """Enlarge brightness by the learned filters, colour and transparency by plain bicubic: eyes see no difference."""
    size = (picture.width * scale, picture.height * scale)
    brightness, *colour = picture.convert("RGB").convert("YCbCr").split()
    plane: Plane = np.asarray(brightness, dtype=np.float32)
    rows = [plane.shape[0] * 2 ** (number + 1) for number in range(scale // 2)]
    done = 0

    def advance(finished: int) -> None:
        nonlocal done
        done += finished
        show_progress(done, sum(rows))

    show_progress(0, sum(rows))
    for _ in rows:
        plane = np.clip(double(plane, weights, advance), 0, 255)
    sharp = Image.fromarray(np.rint(plane).astype(np.uint8))
    channels = [sharp, *(channel.resize(size, Image.Resampling.BICUBIC) for channel in colour)]
    large = Image.merge("YCbCr", channels).convert("RGB")
    if picture.mode == "RGBA":
        large.putalpha(picture.getchannel("A").resize(size, Image.Resampling.BICUBIC))
    return large


def show_progress(done: int, total: int) -> None:
    """Write one line as tqdm does, which clients and the dashboard read as progress."""
    bar = "#" * (10 * done // total)
    sys.stderr.write(f"{100 * done // total:3d}%|{bar:<10}| {done}/{total}\n")
    sys.stderr.flush()
