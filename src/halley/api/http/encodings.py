"""Refuses bodies with a content encoding: they are never decompressed. Source: RFC 9110, section 15.5.16."""

from halley.api.http.asgi import Call
from halley.errors import EncodingUnsupported

_LONGEST = 200


def refuse_encoded(call: Call) -> None:
    """Check the header `Content-Encoding`.

    Raises:
        EncodingUnsupported: it names an encoding.
    """
    if b"content-encoding" not in call.headers:
        return
    sent = call.joined(b"content-encoding")[:_LONGEST]
    if any(word.strip().lower() not in ("", "identity") for word in sent.split(",")):
        raise EncodingUnsupported(
            f"The body is encoded ({sent.strip()[:40]}): send it as it is, without Content-Encoding."
        )
