"""Like an animate-diff: frames under fixed names in a fixed folder, joined into a temporary file."""

import os
import shutil
import tempfile

from cog import BaseRunner, Path

from downloading import fetch, linger

FRAMES = "/tmp/frames" if os.environ["ABSOLUTE"] == "1" else "frames"


class Runner(BaseRunner):
    def setup(self) -> None:
        fetch("motion.ckpt", FRAMES + "-weights")

    def run(self, prompt: str) -> Path:
        shutil.rmtree(FRAMES, ignore_errors=True)
        os.makedirs(FRAMES)
        for number in range(3):
            with open(f"{FRAMES}/{number:03}.png", "w") as file:
                file.write(prompt)
        linger()
        frames = {open(f"{FRAMES}/{number:03}.png").read() for number in range(3)}
        video = Path(tempfile.mkdtemp()) / "video.mp4"
        video.write_text(" ".join(sorted(frames)))
        return video
