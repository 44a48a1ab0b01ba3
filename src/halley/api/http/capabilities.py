"""The right to look at one prediction's page, carried in the page's link.

It is a right of its own: who was given an event stream for a public page must not see the input with it. So the id that
is signed begins with a word that no stream's id can have.
"""

import hmac
from typing import Final

from halley.assets.links import LinkSigner

_MAC_LENGTH: Final = 22


def page_token(links: LinkSigner, prediction_id: str) -> str:
    """The capability in `urls.web`; it lives as long as the prediction's data."""
    return links.stream(f"page/{prediction_id}")[-_MAC_LENGTH:]


def is_page_token(links: LinkSigner, prediction_id: str, token: str) -> bool:
    """Whether the token gives the right to see this page."""
    return hmac.compare_digest(page_token(links, prediction_id).encode(), token.encode("utf-8", "replace"))
