"""Recognises links to this server's own files, and finds the files without any network."""

from urllib.parse import quote

import msgspec

from halley.assets.blob_references import BlobReferences
from halley.assets.data_urls import is_data_url
from halley.assets.holding import output, still_there, upload
from halley.assets.links import DeliveryLink, FileLink, LinkSigner, OwnLink, check_download, download_query, own_link
from halley.assets.ports import FileStore, OutputFiles, StoredFile
from halley.clock import Clock
from halley.errors import NotFound
from halley.predictions.records import OutputFile

_READER = "service"  # part of what is signed, and of no account


class OwnFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Finds the files behind links to this server, and checks that the links are its own."""

    links: LinkSigner
    files: FileStore
    outputs: OutputFiles
    download_secret: bytes = b""


class OwnLinks:
    """The links of this server, under any spelling of its origin."""

    def __init__(
        self, own: OwnFiles, *, blob_references: BlobReferences, clock: Clock, links_need_account: bool = False
    ) -> None:
        """With `links_need_account`, a link to an output file is valid only for the account of that prediction."""
        self._links = own.links
        self._files = own.files
        self._outputs = own.outputs
        self._download_secret = own.download_secret
        self._blob_references = blob_references
        self._clock = clock
        self._links_need_account = links_need_account

    def recognised(self, link: str) -> OwnLink | None:
        """The link, if it has the form of this server's own; a link to an upload may be another server's."""
        own = None if is_data_url(link) else own_link(link)
        if isinstance(own, DeliveryLink) and not self._links.is_authentic(own.capability):
            return None
        return own

    def word(self, own: OwnLink) -> str:
        """The name under which its file is held for an input, see `holding`."""
        return upload(own.file_id) if isinstance(own, FileLink) else output(self._links.authentic_right(own.capability))

    async def file(self, own: OwnLink, account_id: str) -> OutputFile | StoredFile | None:
        """The file of a link of this server; None for one that may be another server's upload.

        Raises:
            NotFound, Forbidden: the link is ours, and its file is removed or not for this account.
        """
        if isinstance(own, DeliveryLink):
            return await self._delivered(own, account_id if self._links_need_account else None)
        found = await self._files.get(own.file_id)
        if found is None:
            return None
        if found.account_id != account_id:
            self._check_signature(own)
        file = await still_there(found, store=self._files, blob_references=self._blob_references, clock=self._clock)
        if file is None:
            raise no_file(own)
        return file

    async def public_path(self, own: OwnLink, valid_seconds: float) -> str | None:
        """The path of a link to its file that needs no key and is valid for at least so long; None if there is none.

        The caller has checked that the account may read the file.
        """
        until = self._clock.now().timestamp() + valid_seconds
        if isinstance(own, DeliveryLink):
            right = self._links.authentic_right(own.capability)
            if self._links_need_account or right.expires_at < until:
                return None
            delivered = await self._outputs.output_file(right.prediction_id, right.index)
            return None if delivered is None else f"/d/{own.capability}/{quote(delivered.name, safe='')}"
        uploaded = await self._files.get(own.file_id)
        if uploaded is None or not self._download_secret or (expiry := int(uploaded.expires_at.timestamp())) < until:
            return None
        query = download_query(self._download_secret, owner=_READER, file_id=own.file_id, expiry=expiry)
        return f"/v1/files/{own.file_id}/download?{query}"

    async def _delivered(self, link: DeliveryLink, account_id: str | None) -> OutputFile:
        delivery = self._links.verify(link.capability)
        file = await self._outputs.output_file(delivery.prediction_id, delivery.index, account_id=account_id)
        if file is None:
            others = "" if account_id is None else ", or belongs to another account"
            raise NotFound(f"file {delivery.index} of prediction {delivery.prediction_id} is no longer stored{others}")
        return file

    def _check_signature(self, link: FileLink) -> None:
        if link.signature is None or link.owner is None or link.expiry is None:
            raise no_file(link)
        check_download(
            self._download_secret,
            owner=link.owner,
            file_id=link.file_id,
            expiry=link.expiry,
            signature=link.signature,
            now=self._clock.now(),
        )


def no_file(link: OwnLink) -> NotFound:
    """The error for a link of ours without a file."""
    which = f" {link.file_id}" if isinstance(link, FileLink) else ""
    return NotFound(f"the file{which} does not exist, was removed, or belongs to another account")
