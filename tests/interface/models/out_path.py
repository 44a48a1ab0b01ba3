from cog import Path


def run() -> Path:
    file = Path("/tmp/halley-interface-out.txt")
    file.write_text("hello")
    return file
