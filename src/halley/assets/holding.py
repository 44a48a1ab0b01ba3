"""Keeps this server's own files while they are inputs: from the create until the prediction has ended.

A prediction may wait for a day, and the upload or output that it names may expire meanwhile. So the create adds a
reference to the bytes in its own transaction, under a name that says which link it was for; the stager finds the bytes
by this name.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec

from halley.assets.blob_references import BlobReferences
from halley.assets.links import DeliveryRight
from halley.assets.ports import FileStore, Reference, StoredFile
from halley.clock import Clock
from halley.predictions.ports import InputFile
from halley.predictions.records import OutputFile

OWNER_KIND: Final = "input"
MORE: Final = timedelta(minutes=10)  # an upload that is needed after its time is kept for this time, repeatedly


class HeldFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is held as an input."""

    of: str  # the link's name: `upload/ID` or `output/PREDICTION/INDEX`
    name: str
    content_type: str
    sha256: str = ""


def upload(file_id: str) -> str:
    """The name of an uploaded file."""
    return f"upload/{file_id}"


def output(delivery: DeliveryRight) -> str:
    """The name of an output file."""
    return f"output/{delivery.prediction_id}/{delivery.index}"


def to_hold(of: str, file: OutputFile | StoredFile) -> InputFile:
    """The reference that the store adds with the create."""
    held = HeldFile(of=of, name=file.name, content_type=file.content_type)
    return InputFile(sha256=file.sha256, name=msgspec.json.encode(held).decode())


def held(references: Sequence[Reference]) -> dict[str, HeldFile]:
    """The held files, by the names of their links."""
    found = [
        msgspec.structs.replace(msgspec.json.decode(reference.name, type=HeldFile), sha256=reference.sha256)
        for reference in references
    ]
    return {file.of: file for file in found}


async def still_there(
    file: StoredFile, *, store: FileStore, blob_references: BlobReferences, clock: Clock
) -> StoredFile | None:
    """The upload if it may be used: before it expires, and after that while a prediction needs it.

    Source: contract D28.
    """
    now = clock.now()
    if file.expires_at > now:
        return file
    needs = await blob_references.needs(file.sha256, OWNER_KIND)
    if upload(file.id) not in held(needs) or not await blob_references.is_stored(file.sha256):
        return None
    await store.prolong(file.id, now + MORE)
    return msgspec.structs.replace(file, expires_at=now + MORE)
