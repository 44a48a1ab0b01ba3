"""Makes an input one that a service elsewhere can read: our own files become `data:` URLs, or uploads to it.

Links to other hosts stay as they are: the service fetches them itself.
"""

import secrets
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
from anyio import to_thread

from halley.assets.data_urls import decode_data_url, is_data_url
from halley.assets.own_inputs import OwnInputs
from halley.assets.positions import Pointer, places, read_places, with_texts
from halley.dispatch.ports import Work
from halley.egress.errors import FetchFailed, TooLarge
from halley.errors import HalleyError, ProviderBusy, SubmitRefused
from halley.providers.replicate.api import UpstreamApi
from halley.providers.replicate.texts import texts_in

UPLOAD_LIMIT_BYTES: Final = 100 * 2**20  # as `limits.file_bytes` of another Halley; the bytes are held in memory
_HINTS: Final = (b"data:", b"/d/", b"/files/", b"\\/", b"\\u")  # without these there is no file of ours in it


class SentInputs:
    """Prepares inputs for one service. Without `own` only `data:` URLs are uploaded."""

    def __init__(
        self, api: UpstreamApi, *, own: OwnInputs | None, document_of: Callable[[str], bytes], data_url_bytes: int
    ) -> None:
        """`document_of` a version says where its input has files; if it is b"", every text may be one. A file of more
        than `data_url_bytes` is uploaded.
        """
        self._api = api
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
        for at, text in self._files(msgspec.json.decode(work.input), self._document_of(work.version)):
            new = await self._sent(at, text, work, may_upload=may_upload)
            if new != text:
                replaced.append((at, new))
        return with_texts(work.input, replaced) if replaced else work.input

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
            raise SubmitRefused(f"{'.'.join(['input', *map(str, at)])}: {error}") from error

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
        data = await self._own.read(file, UPLOAD_LIMIT_BYTES)
        kind = file.content_type or "application/octet-stream"
        url_bytes = len(f"data:{kind};base64,") + (len(data) + 2) // 3 * 4
        if url_bytes <= self._data_url_bytes:
            return f"data:{kind};base64,{b64encode(data).decode()}"
        return await self._uploaded(data, file.name, kind) if may_upload else text

    async def _uploaded(self, data: bytes, name: str, content_type: str) -> str:
        if not self._api.profile.has_files:
            raise SubmitRefused(
                f"the file has {len(data)} bytes: as a `data:` URL it is longer than {self._data_url_bytes} characters "
                "(data_url_bytes of the provider), and the service takes no uploads"
            )
        self._api.pace.check()
        kind, body = _form(data, name, content_type)
        try:
            answer = await self._api.send("POST", "/files", body, headers=(("content-type", kind),))
        except (FetchFailed, TooLarge) as error:
            raise ProviderBusy(f"A file of the input could not be uploaded: {error}") from error
        urls = (answer.body or {}).get("urls")
        url = urls.get("get") if isinstance(urls, dict) else None
        if answer.status < 300 and isinstance(url, str) and url:
            return url
        if 400 <= answer.status < 500 and answer.status not in (408, 429):
            raise SubmitRefused(f"the service does not take the file. {answer.fault}")
        raise ProviderBusy(f"A file of the input could not be uploaded. {answer.fault}")


def _form(data: bytes, name: str, content_type: str) -> tuple[str, bytes]:
    """The type and body of a form with the file. Source: contract section 13.1."""
    boundary = secrets.token_hex(16)
    plain_name = name.replace("\\", "_").replace('"', "_").replace("\r", "_").replace("\n", "_")
    head = (
        f'--{boundary}\r\ncontent-disposition: form-data; name="content"; filename="{plain_name}"\r\n'
        f"content-type: {content_type}\r\n\r\n"
    )
    return f"multipart/form-data; boundary={boundary}", head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
