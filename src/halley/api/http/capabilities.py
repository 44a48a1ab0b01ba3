"""The token in the link of a prediction's page, which grants access to that page.

It is separate from other links: the link of an event stream on a public page must not show the input. So the signed id
begins with a prefix that no stream's id can have.
"""

import hmac

from halley.assets.links import LinkSigner


def page_token(links: LinkSigner, prediction_id: str) -> str:
    """The capability in `urls.web`; it is valid as long as the prediction's data exists."""
    return page_token_bytes(links, prediction_id.encode()).decode()


def page_token_bytes(links: LinkSigner, prediction_id: bytes) -> bytes:
    """The same for bytes."""
    return links.stream_mac_bytes(b"page/" + prediction_id)


def is_page_token(links: LinkSigner, prediction_id: str, token: str) -> bool:
    """Whether the token grants access to this page."""
    return hmac.compare_digest(page_token(links, prediction_id).encode(), token.encode("utf-8", "replace"))
