"""Uploads the files of a posted form through the API, and puts their links where the form names them."""

import secrets
from typing import Final

from halley.web.forms import names
from halley.web.forms_posted import PostedFile, PostedForm
from halley.web.visit import Visit

Pairs = list[tuple[str, str]]
FILES: Final = 50  # of one form


async def with_uploads(visit: Visit, form: PostedForm) -> tuple[Pairs, list[tuple[str, str]]]:
    """The names and texts of the form, with links in place of its files; and what the API refused, by place."""
    pairs: Pairs = [(name, text) for name, texts in form.fields.items() for text in texts]
    faults = []
    chosen = [(name, one) for name, listed in form.files.items() for one in listed if one.name or one.data]
    for name, one in chosen[:FILES]:
        prefix, path = names.split_name(name)
        if prefix != names.FILE:
            continue
        link, fault = await _upload(visit, one)
        if fault:
            faults.append((".".join([names.VALUE, *path]), fault))
        else:
            pairs.append((names.name_of(names.VALUE, path), link))
    return pairs, faults


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
