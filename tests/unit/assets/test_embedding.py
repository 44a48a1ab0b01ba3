"""Pictures that carry the input that made them."""

import io
import random
from collections.abc import Callable

import msgspec
import pytest
from PIL import Image, ImageChops

from halley.assets.embedding import NOTE_BYTES, CannotCarry, InputNote, NoteTooLarge, embed, extract

INPUT = {"prompt": 'a </script> & "lake" 🌊 \u202e &lt;', "seed": 7, "nested": {"__proto__": [1, None]}}
NOTE = InputNote(
    model="demo/paint", version="1" * 64, prediction="p" * 26, input=msgspec.Raw(msgspec.json.encode(INPUT))
)
KINDS = {"image/png": "PNG", "image/webp": "WEBP", "image/jpeg": "JPEG"}


def picture(kind: str, mode: str = "RGB", size: tuple[int, int] = (33, 17), **more: object) -> bytes:
    made = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(made, KINDS[kind], **more)
    return made.getvalue()


MAKERS: list[tuple[str, Callable[[], bytes]]] = [
    ("image/png", lambda: picture("image/png")),
    ("image/png", lambda: picture("image/png", "RGBA")),
    ("image/webp", lambda: picture("image/webp")),  # VP8
    ("image/webp", lambda: picture("image/webp", "RGBA", lossless=True)),  # VP8L with alpha
    ("image/webp", lambda: picture("image/webp", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0")),  # extended
    ("image/webp", lambda: picture("image/webp", size=(1, 1))),
    ("image/jpeg", lambda: picture("image/jpeg")),
]


@pytest.mark.parametrize(("kind", "make"), MAKERS)
def test_a_picture_keeps_its_pixels_and_carries_the_input(kind: str, make: Callable[[], bytes]) -> None:
    before = make()
    after = embed(before, kind, NOTE)
    found = extract(after)
    assert found is not None
    assert (found.model, found.version, found.prediction) == (NOTE.model, NOTE.version, NOTE.prediction)
    assert msgspec.json.decode(found.input) == INPUT
    assert extract(before) is None
    with Image.open(io.BytesIO(before)) as old, Image.open(io.BytesIO(after)) as new:
        new.load()
        assert (old.mode, old.size) == (new.mode, new.size)
        assert ImageChops.difference(old, new).getbbox() is None


def test_an_animation_keeps_its_frames() -> None:
    made = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), (n, n, n)) for n in (0, 90, 180)]
    frames[0].save(made, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    after = embed(made.getvalue(), "image/webp", NOTE)
    with Image.open(io.BytesIO(after)) as shown:
        assert getattr(shown, "n_frames", 1) == 3
    assert extract(after) is not None


def test_a_second_note_in_a_png_comes_first_and_others_refuse() -> None:
    other = InputNote(model="a/b", input=msgspec.Raw(b"{}"))
    twice = extract(embed(embed(picture("image/png"), "image/png", other), "image/png", NOTE))
    assert twice is not None
    assert twice.model == NOTE.model
    for kind in ("image/webp", "image/jpeg"):
        with pytest.raises(CannotCarry):
            embed(embed(picture(kind), kind, NOTE), kind, NOTE)


def test_what_is_no_picture_or_too_large_is_refused() -> None:
    for kind in KINDS:
        for broken in (b"", b"hello", picture(kind)[:20]):
            with pytest.raises(CannotCarry):
                embed(broken, kind, NOTE)
    with pytest.raises(CannotCarry):
        embed(b"GIF89a", "image/gif", NOTE)
    large = InputNote(model="a/b", input=msgspec.Raw(b'{"a":"%b"}' % (b"x" * NOTE_BYTES)))
    with pytest.raises(NoteTooLarge):
        embed(picture("image/png"), "image/png", large)
    medium = InputNote(model="a/b", input=msgspec.Raw(b'{"a":"%b"}' % (b"x" * 70_000)))
    assert extract(embed(picture("image/webp"), "image/webp", medium)) == medium
    with pytest.raises(NoteTooLarge):
        embed(picture("image/jpeg"), "image/jpeg", medium)


@pytest.mark.parametrize("text", [b"[]", b"1", b'{"halley":1}', b'{"halley":2,"model":"a/b","input":{}}', b"\xff",
                                  b'{"halley":1,"model":"a/b","input":[]}', b'{"halley":1,"model":5,"input":{}}',
                                  b'{"halley":1,"model":"a/b","input":' + b"[" * 5000])  # fmt: skip
def test_other_texts_are_no_notes(text: bytes) -> None:
    raw = picture("image/png")
    from halley.assets.embedding import png

    made = png.write(raw, text)
    assert made is not None
    assert extract(made) is None


def test_damaged_pictures_never_fail() -> None:
    rng = random.Random(13)
    for kind, make in MAKERS:
        good = embed(make(), kind, NOTE)
        for _ in range(150):
            torn = bytearray(good[: rng.randrange(len(good) + 1)])
            for _ in range(rng.randrange(4)):
                if torn:
                    torn[rng.randrange(len(torn))] = rng.randrange(256)
            found = extract(bytes(torn))
            assert found is None or isinstance(found, InputNote)


def test_a_file_of_many_tiny_chunks_is_given_up() -> None:
    chunk = b"\0\0\0\0aaaa\0\0\0\0"
    assert extract(b"\x89PNG\r\n\x1a\n" + chunk * 500_000) is None
    assert extract(b"RIFF\0\0\0\0WEBP" + b"aaaa\0\0\0\0" * 500_000) is None
    assert extract(b"\xff\xd8" + b"\xff\xe2\0\x02" * 500_000) is None
