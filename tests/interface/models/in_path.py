from cog import Path


def run(file: Path) -> str:
    return f"{type(file).__name__} {file.suffix} {file.read_text()}"
