import io

from cog import File


def run() -> File:
    return io.BytesIO(b"hello")
