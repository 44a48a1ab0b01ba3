"""The header `Idempotency-Key`, and when two requests are the same. Source: contract sections 6.1 and 17, D10."""

import re
from datetime import timedelta
from hashlib import sha256
from typing import Final

import msgspec

from halley.api.context import ApiContext
from halley.api.http.asgi import Call
from halley.api.repeats import Asked
from halley.api.resources.bodies import CreateBody
from halley.errors import BadRequest
from halley.predictions.repeats import IdempotencyKey

HEADER: Final = b"idempotency-key"
REPLAYED: Final = (b"idempotency-replayed", b"true")
_KEY: Final = re.compile(rb"[!-~]{1,255}")


def digest_head(asked: Asked) -> bytes:
    """The beginning of a request's digest; its members as sorted JSON follow."""
    return repr(asked).encode() + b"\0"


def read_key(call: Call, parts: ApiContext, asked: Asked, body: CreateBody) -> IdempotencyKey | None:
    """The key that the caller gave, with the digest of the request; None without the header.

    `asked` is what distinguishes requests besides the body. Bodies are compared as JSON values: the order of names and
    white space do not matter, because a client may encode the same value again for its second try.

    Raises:
        BadRequest: it is not a valid key.
    """
    key = call.headers.get(HEADER)
    if key is None:
        return None
    if _KEY.fullmatch(key) is None or [name for name, _ in call.scope["headers"]].count(HEADER) > 1:
        raise BadRequest(
            "Idempotency-Key must be one value of 1 to 255 visible ASCII characters without spaces; "
            "a fresh random UUID for each new prediction is a good one."
        )
    return IdempotencyKey(
        key=key.decode("ascii"),
        digest=_digest(asked, body),
        expires_at=parts.clock.now() + timedelta(seconds=parts.limits.idempotency_seconds),
    )


def _digest(asked: Asked, body: CreateBody) -> bytes:
    if body.outline is not None and body.outline.digest is not None:
        return body.outline.digest
    return sha256(digest_head(asked) + msgspec.json.encode(body.members, order="sorted")).digest()
