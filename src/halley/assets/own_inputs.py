"""Reads this server's own files in an input, for a service elsewhere: it may not reach this server, and has no key."""

from contextlib import aclosing
from typing import Final

import msgspec

from halley.assets.blob_references import BlobReferences
from halley.assets.holding import OWNER_KIND, HeldFile, held
from halley.assets.links import OwnLink
from halley.assets.own_links import OwnLinks
from halley.assets.ports import Blobs
from halley.errors import TooLarge

VALID_SECONDS: Final = 3600.0  # of a link that is given to a service: its run may wait there


class OwnFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of this server, and the link that named it."""

    name: str
    content_type: str
    sha256: str
    link: OwnLink


class OwnInputs:
    """Finds and reads the files."""

    def __init__(self, links: OwnLinks, *, blobs: Blobs, blob_references: BlobReferences) -> None:
        self._links = links
        self._blobs = blobs
        self._blob_references = blob_references

    async def find(self, link: str, *, prediction_id: str, account_id: str) -> OwnFile | None:
        """The file of a link in the input of a prediction; None for a text that is no link to this server.

        Raises:
            NotFound, Forbidden: the link is this server's, and its file is removed or not for this account.
        """
        own = self._links.recognised(link)
        if own is None:
            return None
        references = await self._blob_references.references(OWNER_KIND, prediction_id)
        file: HeldFile | None = held(references).get(self._links.word(own))
        found = file or await self._links.file(own, account_id)
        if found is None:
            return None
        return OwnFile(name=found.name, content_type=found.content_type, sha256=found.sha256, link=own)

    async def public_path(self, file: OwnFile) -> str | None:
        """The path, below the address of this server, of a link to it for a service; None if there is none."""
        return await self._links.public_path(file.link, VALID_SECONDS)

    async def read(self, file: OwnFile, limit_bytes: int) -> bytes:
        """Its bytes.

        Raises:
            TooLarge: it has more than `limit_bytes`.
            NotFound: it is not stored any more.
        """
        data = bytearray()
        async with aclosing(self._blobs.open(file.sha256, 0, limit_bytes + 1)) as chunks:
            async for chunk in chunks:
                data += chunk
        if len(data) > limit_bytes:
            raise TooLarge(f"the file {file.name} has more than {limit_bytes} bytes")
        return bytes(data)
