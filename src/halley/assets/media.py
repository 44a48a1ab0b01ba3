"""The type of a file: by its first bytes if they are known, otherwise by its name."""

from typing import Final

from halley.assets.names import type_for

HEAD_BYTES: Final = 64  # enough for every signature below
OCTETS: Final = "application/octet-stream"

_SIGNATURES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"%PDF-", "application/pdf"),
    (b"glTF", "model/gltf-binary"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
)
_RIFF: Final = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BRANDS: Final = {b"avif": "image/avif", b"avis": "image/avif", b"qt  ": "video/quicktime", b"M4A ": "audio/mp4"}
_CONTAINERS: Final = {
    # a container format has several types: the name may decide between them
    "application/ogg": ("audio/ogg", frozenset({"audio/ogg", "video/ogg", "application/ogg", "audio/opus"})),
    "video/mp4": ("video/mp4", frozenset({"video/mp4", "audio/mp4", "audio/x-m4a", "video/x-m4v"})),
    "video/webm": ("video/webm", frozenset({"video/webm", "audio/webm", "video/x-matroska", "audio/x-matroska"})),
}
_SHORT: Final = frozenset({"image/bmp", "application/zip", "application/gzip"})


def media_type(name: str, head: bytes) -> str:
    """Return the media type of a file from its name and its first `HEAD_BYTES` bytes.

    Images, audio and video are recognised by their bytes only, because a browser may display them. For other files the
    name decides, and plain text without a known extension is `text/plain`.
    """
    by_name = type_for(name)
    by_head = _by_head(head)
    if by_head in _CONTAINERS:
        usual, fitting = _CONTAINERS[by_head]
        return by_name if by_name in fitting else usual
    is_shown = by_name.startswith(("image/", "audio/", "video/")) and by_name != "image/svg+xml"
    if by_head is None:
        return OCTETS if is_shown or (by_name == OCTETS and not _is_text(head)) else _text_or(by_name)
    # short signatures and archives prove little: .docx is a zip, and a text may begin with BM
    return by_head if by_head not in _SHORT or is_shown or by_name == OCTETS else by_name


def _text_or(by_name: str) -> str:
    return "text/plain" if by_name == OCTETS else by_name


def _by_head(head: bytes) -> str | None:
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    if head[:4] == b"OggS":
        return "application/ogg"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "video/webm"
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2:
        return "audio/mpeg"  # a frame of layer III without tags before it
    return next((content_type for signature, content_type in _SIGNATURES if head.startswith(signature)), None)


def _is_text(head: bytes) -> bool:
    if not head:
        return False
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":  # the end of `head` may have split a character
            return False
        text = head[: error.start].decode()
    return all(c in "\t\r\n\f" or c >= " " for c in text)
