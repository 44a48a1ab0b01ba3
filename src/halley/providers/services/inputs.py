"""Prepares an input so that a service elsewhere can read it: our own files become links to this server, if the service
can reach it, otherwise `data:` URLs, or uploads to the service.

Links to other hosts stay as they are: the service fetches them itself.
"""

from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Final

import msgspec
from anyio import to_thread

from halley.assets.data_urls import decode_data_url, is_data_url
from halley.assets.own_inputs import OwnInputs
from halley.assets.positions import Pointer, places, read_places, with_texts
from halley.dispatch.ports import Work
from halley.errors import HalleyError, ProviderBusy, SubmitRefused
from halley.providers.services.batches import with_yields
from halley.providers.services.texts import texts_in
from halley.strict_json import is_heavy

UPLOAD_LIMIT_BYTES: Final = 100 * 2**20  # as `limits.file_bytes` of another Halley; the bytes are held in memory
_HINTS: Final = (b"data:", b"/d/", b"/files/", b"\\/", b"\\u")  # without these there is no file of ours in it


Upload = Callable[[bytes, str, str], Awaitable[str]]
"""Uploads a file, given its name and content type, to the service; returns its URL there.

Raises:
    SubmitRefused: the service does not take it.
    ProviderBusy: it cannot be uploaded now.
"""


class SentInputs:
    """Prepares inputs for one service. Without `own` only `data:` URLs are uploaded."""

    def __init__(
        self,
        upload: Upload | None,
        *,
        own: OwnInputs | None,
        document_of: Callable[[str], bytes],
        data_url_bytes: int,
        public_url: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`document_of` a version says where its input has files; if it is b"", every text may be one. A file of more
        than `data_url_bytes` is uploaded; without `upload` the service takes none. `public_url` is the address of this
        server, while the service can reach it.
        """
        self._public_url = public_url
        self._upload = upload
        self._document_of = document_of
        self._own = own
        self._data_url_bytes = data_url_bytes

    async def prepared(self, work: Work, *, may_upload: bool) -> bytes:
        """The input to send, as JSON. Without `may_upload`, files that would be uploaded stay as they are.

        Raises:
            SubmitRefused: a file is removed, or too large for the service.
            ProviderBusy: an upload failed; nothing was begun.
        """
        if not any(hint in work.input for hint in _HINTS):
            return work.input
        replaced: list[tuple[Pointer, str]] = []
        document = self._document_of(work.version)
        look = partial(self._listed, work.input, document)
        found = await to_thread.run_sync(look) if is_heavy(work.input) else look()
        async for at, text in with_yields(found):
            new = await self._sent(at, text, work, may_upload=may_upload)
            if new != text:
                replaced.append((at, new))
        return with_texts(work.input, replaced) if replaced else work.input

    def _listed(self, given: bytes, document: bytes) -> list[tuple[Pointer, str]]:
        return list(self._files(msgspec.json.decode(given), document))

    def _files(self, given: Any, document: bytes) -> Iterator[tuple[Pointer, str]]:
        where = read_places(document) if document else None
        if document and where is None:
            return
        for at, text in texts_in(given) if where is None else places(where, given):
            if is_data_url(text) or text[:4].lower() == "http":
                yield at, text

    async def _sent(self, at: Pointer, text: str, work: Work, *, may_upload: bool) -> str:
        try:
            if is_data_url(text):
                return await self._inline(text, may_upload=may_upload)
            return await self._linked(text, work, may_upload=may_upload)
        except ProviderBusy:
            raise
        except HalleyError as error:
            raise SubmitRefused(f"{'.'.join(['input', *map(str, at)])}: {error}", was_asked=False) from error

    async def _inline(self, text: str, *, may_upload: bool) -> str:
        if len(text) <= self._data_url_bytes or not may_upload:
            return text
        found = await to_thread.run_sync(decode_data_url, text, UPLOAD_LIMIT_BYTES)
        return await self._uploaded(found.data, found.name or "file", found.content_type)

    async def _linked(self, text: str, work: Work, *, may_upload: bool) -> str:
        if self._own is None:
            return text
        file = await self._own.find(text, prediction_id=work.prediction_id, account_id=work.account_id)
        if file is None:
            return text
        base = self._public_url()
        if base is not None and (path := await self._own.public_path(file)) is not None:
            return f"{base}{path}"
        data = await self._own.read(file, UPLOAD_LIMIT_BYTES)
        kind = file.content_type or "application/octet-stream"
        url_bytes = len(f"data:{kind};base64,") + (len(data) + 2) // 3 * 4
        if url_bytes <= self._data_url_bytes:
            return f"data:{kind};base64,{b64encode(data).decode()}"
        return await self._uploaded(data, file.name, kind) if may_upload else text

    async def _uploaded(self, data: bytes, name: str, content_type: str) -> str:
        if self._upload is None:
            raise SubmitRefused(
                f"the file has {len(data)} bytes: as a `data:` URL it is longer than {self._data_url_bytes} characters "
                "(data_url_bytes of the provider), and the service takes no uploads"
            )
        return await self._upload(data, name, content_type)
