"""Whether a key may still carry out the actions that it began."""

from typing import Final

from halley.keys.ports import KeyStore
from halley.keys.records import Scope

NEEDED: Final = frozenset({Scope.READ, Scope.WRITE})


async def may_act(keys: KeyStore, key_id: str) -> bool:
    """Whether the key is valid now and may act on many predictions."""
    scopes = (await keys.valid_scopes([key_id])).get(key_id, frozenset())
    return Scope.ADMIN in scopes or scopes >= NEEDED
