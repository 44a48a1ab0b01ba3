"""The token in the link of a prediction's page, which grants access to that page.

It is separate from other links: the link of an event stream on a public page must not show the input. So the signed id
begins with a prefix that no stream's id can have.
"""

import hmac

from halley.assets.links import LinkSigner


def page_token(links: LinkSigner, prediction_id: str) -> str:
    """The capability in `urls.web`; it is valid as long as the prediction's data exists."""
    return links.stream_mac(f"page/{prediction_id}")


def page_and_stream(links: LinkSigner, prediction_id: bytes) -> tuple[bytes, bytes]:
    """That token, and the MAC of the link to the stream: each shown prediction has both."""
    return links.stream_macs(b"page/" + prediction_id, prediction_id)


def is_page_token(links: LinkSigner, prediction_id: str, token: str) -> bool:
    """Whether the token grants access to this page."""
    return hmac.compare_digest(page_token(links, prediction_id).encode(), token.encode("utf-8", "replace"))
