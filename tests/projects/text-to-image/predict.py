# Prediction interface for Cog
import os
import struct
import time
import zlib
from typing import List

from cog import BasePredictor, Input, Path

SCHEDULERS = {"DDIM": 1, "K_EULER": 2, "PNDM": 3}


class Predictor(BasePredictor):
    def setup(self) -> None:
        """Load the model into memory to make running multiple predictions efficient"""
        start = time.time()
        self.pipe = paint
        print("setup took: ", time.time() - start)

    def predict(
        self,
        prompt: str = Input(description="Input prompt", default="An astronaut riding a rainbow unicorn"),
        negative_prompt: str = Input(description="Input Negative Prompt", default=""),
        image: Path = Input(description="Input image for img2img or inpaint mode", default=None),
        width: int = Input(description="Width of output image", default=1024),
        height: int = Input(description="Height of output image", default=1024),
        num_outputs: int = Input(description="Number of images to output.", ge=1, le=4, default=1),
        scheduler: str = Input(description="scheduler", choices=SCHEDULERS.keys(), default="K_EULER"),
        num_inference_steps: int = Input(description="Number of denoising steps", ge=1, le=500, default=50),
        guidance_scale: float = Input(description="Scale", ge=1, le=50, default=7.5),
        seed: int = Input(description="Random seed. Leave blank to randomize the seed", default=None),
    ) -> List[Path]:
        """Run a single prediction on the model."""
        if seed is None:
            seed = int.from_bytes(os.urandom(2), "big")
        print(f"Using seed: {seed}")
        output_paths = []
        for i in range(num_outputs):
            output_path = f"/tmp/out-{i}.png"
            with open(output_path, "wb") as f:
                f.write(self.pipe(width, height, seed + i))
            output_paths.append(Path(output_path))
        return output_paths


def paint(width, height, seed):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + bytes([seed % 256]) * width
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(row * height)) + chunk(b"IEND", b"")
    )
