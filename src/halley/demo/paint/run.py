"""demo/paint: a landscape from the words of a prompt, painted by rules; no network, no weights."""

import hashlib
import sys
import tempfile
from typing import Any

from cog import BaseRunner, Input, Path
from studio import STAGES, paint

_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "webp": {"format": "WEBP", "quality": 90, "method": 2},
    "png": {"format": "PNG"},
    "jpg": {"format": "JPEG", "quality": 92},
}


class Runner(BaseRunner):
    def setup(self) -> None:
        # one folder for the life of the process: each output is copied when it is reported, so names may repeat
        self.folder = tempfile.mkdtemp(prefix="demo-paint-")

    def run(
        self,
        prompt: str = Input(
            description="What to paint. Times of day, landscapes, weather and colours are understood, and boats, "
            "balloons, birds, cabins, flowers, lighthouses, stars, aurora and comets.",
            default="a quiet alpine lake at dawn",
            max_length=2000,
        ),
        width: int = Input(description="Width in pixels.", default=512, ge=64, le=2048),
        height: int = Input(description="Height in pixels.", default=512, ge=64, le=2048),
        seed: int | None = Input(
            description="The same prompt and seed give the same picture. Left out, it follows from the prompt.",
            default=None,
        ),
        num_outputs: int = Input(description="How many pictures, with seeds that count up.", default=1, ge=1, le=4),
        output_format: str = Input(description="File format.", default="webp", choices=["webp", "png", "jpg"]),
    ) -> list[Path]:
        """Paint `num_outputs` pictures and return their files."""
        first_seed = seed_of(prompt) if seed is None else seed
        print(f"Using seed: {first_seed}")
        files, steps = [], STAGES * num_outputs
        show_progress(0, steps)
        for number in range(num_outputs):
            file = Path(self.folder, f"out-{number}.{output_format}")
            for stage, picture in enumerate(paint(prompt, (width, height), first_seed + number), start=1):
                show_progress(number * STAGES + stage, steps)
                if stage == STAGES:
                    picture.save(file, **_SAVE_OPTIONS[output_format])
            files.append(file)
        return files


def seed_of(prompt: str) -> int:
    """A seed that depends on the prompt only: the same prompt gives the same picture."""
    return int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:4], "big")


def show_progress(done: int, total: int) -> None:
    """Write one line as tqdm does, which clients and the dashboard read as progress."""
    percent = 100 * done // total
    bar = "#" * (percent // 10)
    sys.stderr.write(f"{percent:3d}%|{bar:<10}| {done}/{total}\n")
    sys.stderr.flush()
