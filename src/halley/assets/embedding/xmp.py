"""A note inside an XMP packet. It is found by its tags, as text: the XML of an unknown file is never parsed."""

from typing import Final

_OPEN: Final = b"<halley:note>"
_CLOSE: Final = b"</halley:note>"
_HEAD: Final = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:halley="urn:halley:note:1">'
)
_TAIL: Final = b'</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'


def packet(text: bytes) -> bytes:
    """The packet with a text, which is UTF-8."""
    # not by xml.sax, which loads an HTTP client
    escaped = text.replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;")
    return b"".join((_HEAD, _OPEN, escaped, _CLOSE, _TAIL))


def text_in(found: bytes) -> bytes | None:
    """The text in a packet; None if it has none of ours."""
    _, opened, rest = found.partition(_OPEN)
    text, closed, _ = rest.partition(_CLOSE)
    if not opened or not closed or b"<" in text:
        return None
    # the ampersand last: what was escaped must not be read as another escape
    return text.replace(b"&lt;", b"<").replace(b"&gt;", b">").replace(b"&amp;", b"&")
