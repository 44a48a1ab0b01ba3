"""Small pictures for tests."""

import io

from PIL import Image


def png() -> bytes:
    """A picture of four by five pixels."""
    made = io.BytesIO()
    Image.new("RGB", (5, 4), "teal").save(made, "PNG")
    return made.getvalue()
