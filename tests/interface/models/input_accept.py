from cog import File, Input, Path


def run(
    image: Path = Input(accept="image/*"),
    weights: File = Input(default=None, accept=".safetensors,.bin"),
) -> int:
    return len(image.read_bytes())
