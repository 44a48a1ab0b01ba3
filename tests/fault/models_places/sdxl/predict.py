"""Like an sdxl: two weight files in a folder of the working directory, numbered pictures beside the code."""

from cog import BaseRunner, Path

from downloading import fetch, linger


class Runner(BaseRunner):
    def setup(self) -> None:
        for name in ("unet.bin", "refiner.bin"):
            fetch(name, "./sdxl-cache")

    def run(self, prompt: str) -> list[Path]:
        made = []
        for number in range(2):
            made.append(Path(f"out-{number}.png"))
            made[-1].write_text(prompt)
        linger()
        return made
