"""Uploads the files of a posted form through the API, and puts their links where the form names them."""

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from weakref import WeakValueDictionary

from halley.strict_json import HEAVY_BYTES
from halley.web.forms import names
from halley.web.forms_posted import PostedFile, PostedForm
from halley.web.heavy_forms import offload_if_heavy
from halley.web.visit import Visit

Pairs = list[tuple[str, str]]
FILES: Final = 50  # of one form
_LOOKED_AT: Final = 50  # of the newest uploads
_SAME: Final = timedelta(minutes=10)  # so long an upload is taken again; a prediction that waits needs most of its life
Uploads = Mapping[tuple[str, str], str]  # links by name and SHA-256
# by account and form, as long as one of its posts is in here: the second click of a double click waits for the first
_turns: Final[WeakValueDictionary[tuple[str, str], asyncio.Lock]] = WeakValueDictionary()


async def with_uploads(visit: Visit, form: PostedForm) -> tuple[Pairs, list[tuple[str, str]]]:
    """The names and texts of the form, with links in place of its files; and what the API refused, by place.

    A file that was uploaded a short time ago is not uploaded again: so a form that is sent again, because its answer
    was lost or by a double click, is the same input, and makes no second prediction.
    """
    pairs: Pairs = [(name, text) for name, texts in form.fields.items() for text in texts]
    chosen = [(name, one) for name, listed in form.files.items() for one in listed if one.name or one.data]
    if not chosen:
        return pairs, []
    turn = _turns.setdefault((visit.identity.account.id, form.get("once")), asyncio.Lock())
    async with turn:
        return await _with_links(visit, pairs, chosen[:FILES])


async def _with_links(
    visit: Visit, pairs: Pairs, chosen: list[tuple[str, PostedFile]]
) -> tuple[Pairs, list[tuple[str, str]]]:
    faults = []
    uploads = await _newest_uploads(visit)
    for name, one in chosen:
        prefix, path = names.split_name(name)
        if prefix != names.FILE:
            continue
        known = uploads.get((one.name, await offload_if_heavy(len(one.data) > HEAVY_BYTES, _digest, one.data)))
        link, fault = (known, "") if known else await _upload(visit, one)
        if fault:
            faults.append((".".join([names.VALUE, *path]), fault))
        else:
            pairs.append((names.name_of(names.VALUE, path), link))
    return pairs, faults


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def _newest_uploads(visit: Visit) -> Uploads:
    answer = await visit.ask("GET", "/v1/files", query={"limit": str(_LOOKED_AT)})
    listed = answer.json()["results"] if answer.is_ok else ()
    since = visit.now - _SAME
    return {
        (one["name"], one["checksums"]["sha256"]): one["urls"]["get"]
        for one in listed
        if datetime.fromisoformat(one["created_at"]) >= since
    }


async def _upload(visit: Visit, file: PostedFile) -> tuple[str, str]:
    """The link of the stored file, or why it is not stored."""
    boundary = secrets.token_hex(16)
    kind = file.content_type if file.content_type.isascii() and file.content_type.isprintable() else ""
    head = (
        f'--{boundary}\r\ncontent-disposition: form-data; name="content"; filename="{_quoted(file.name)}"\r\n'
        f"content-type: {kind or 'application/octet-stream'}\r\n\r\n"
    )
    body = head.encode() + file.data + f"\r\n--{boundary}--\r\n".encode()
    content_type = (b"content-type", f"multipart/form-data; boundary={boundary}".encode())
    answer = await visit.ask("POST", "/v1/files", body=body, headers=[content_type])
    said = answer.json()
    if answer.is_ok:
        return said["urls"]["get"], ""
    return "", f"The file was not uploaded: {said.get('detail') or said.get('title')}"


def _quoted(name: str) -> str:
    """As browsers write a file's name (HTML, multipart/form-data encoding algorithm)."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
