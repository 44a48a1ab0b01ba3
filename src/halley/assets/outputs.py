"""Stores the files of an output before the output becomes visible."""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from anyio import to_thread

from halley.assets.blob_references import BlobReferences
from halley.assets.media import HEAD_BYTES, media_type
from halley.assets.names import safe_name
from halley.assets.output_links import OutputLinks
from halley.assets.positions import Pointer, at, with_texts
from halley.errors import Forbidden, HalleyError, NotFound, Refused, TooLarge
from halley.predictions.large import Json, LargeValues, Link
from halley.predictions.records import OutputFile
from halley.strict_json import HEAVY_BYTES, is_heavy, unfit

OWNER_KIND: Final = "prediction"
COPIES: Final = "outputs"  # the folder in a run folder where the runner puts its copies of output files
FILE_LIMIT_BYTES: Final = 10 * 2**30


class StoredOutput(msgspec.Struct, frozen=True, kw_only=True):
    """An output whose files are stored durably: in `value` (JSON) each path is replaced by the ref of its file."""

    value: Json
    files: tuple[OutputFile, ...]


class OutputFileStore:
    """Copies output files to the blob store. Implements `dispatch.ports.OutputKeeper`.

    It accepts only files of the prediction's own run folder, and follows no symbolic link on the way. The runner has
    checked other files that a model may return and copied them there, see `_halley_runner.allowed`.
    """

    def __init__(
        self,
        *,
        blob_references: BlobReferences,
        limit_bytes: int = FILE_LIMIT_BYTES,
        large: LargeValues | None = None,
        links: OutputLinks | None = None,
    ) -> None:
        """Without `links` an output with links is refused."""
        self._blob_references = blob_references
        self._links = links
        self._large = large
        self._limit_bytes = limit_bytes

    async def keep(
        self,
        *,
        prediction_id: str,
        first_index: int,
        value: Json,
        paths: Sequence[Pointer],
        folder: Path | None,
        links: Sequence[Pointer] = (),
        origin: tuple[str, int] | None = None,
    ) -> StoredOutput:
        """Copy the files at `paths` and behind `links` into the blobs; on return they are synced and readable.

        Files are numbered from `first_index` in the order of `paths`, then of `links`. Relative paths begin at
        `folder`. Links elsewhere in the output, and `data:` URLs, stay unchanged as text.

        Raises:
            StorageFull: no room; may be tried again.
            HalleyError: a file is missing, too large or may not be read; the message names it.
        """
        fault = await self._fault(value)
        if fault is not None:
            raise Refused(f"the output {fault}")
        pointers = [*paths, *links]
        if not pointers:
            return StoredOutput(value=value, files=())
        files: list[OutputFile] = []
        for number, text in enumerate(await self._texts(value, pointers)):
            index = first_index + number
            is_fetched = number >= len(paths)
            path = await self._fetched(text, index, folder, origin) if is_fetched else text
            files.append(await self._keep(prediction_id, index, path, folder, take=is_fetched))
        refs = [(pointer, file.ref) for pointer, file in zip(pointers, files, strict=True)]
        return StoredOutput(value=await self._filled(value, refs), files=tuple(files))

    async def _fetched(self, url: str, index: int, folder: Path | None, origin: tuple[str, int] | None) -> str:
        if self._links is None:
            raise Refused("The output names a link, and this server fetches none.")
        return str(await self._links.fetch(url, index, folder, origin))

    async def _fault(self, value: Json) -> str | None:
        if self._large is not None and _is_heavy(value):
            return await self._large.unfit(value)
        return unfit(bytes(value))

    async def _texts(self, value: Json, pointers: Sequence[Pointer]) -> list[str]:
        if self._large is not None and _is_heavy(value):
            found = await self._large.texts(value, pointers)
            if None in found:
                raise Refused(f"The output names a file at {list(pointers[found.index(None)])}, but there is no text.")
            return [text for text in found if text is not None]
        decoded = msgspec.json.decode(value)
        return [_text(decoded, pointer) for pointer in pointers]

    async def _filled(self, value: Json, refs: Sequence[Link]) -> bytes:
        if self._large is not None and _is_heavy(value):
            return await self._large.fill(value, refs)
        return with_texts(value, refs)

    async def release(self, prediction_id: str) -> None:
        """Remove the references of a prediction, and delete files without a reference."""
        await self._blob_references.release(OWNER_KIND, prediction_id)

    async def _keep(
        self, prediction_id: str, index: int, path_text: str, folder: Path | None, *, take: bool
    ) -> OutputFile:
        """`take`: nothing writes to the file any more."""
        name = safe_name(Path(path_text).name)
        try:
            path = _inside(path_text, folder)
            opened, head = await to_thread.run_sync(self._open, path_text, path, folder)
        except OSError as error:
            raise _as_error(error, path_text) from error
        except ValueError as error:  # a NUL, or text that is not valid in a file name
            raise Refused(f"The model returned the file {path_text!r}: that is no path.") from error
        try:
            # the runner's own copies are not written again; files that the model wrote may be
            take = take or (folder is not None and path.is_relative_to(folder / COPIES))
            info = await self._blob_references.keep_file(
                path, owner_kind=OWNER_KIND, owner_id=prediction_id, name=name, take=take, source=opened
            )
        except OSError as error:
            raise _as_error(error, path_text) from error
        finally:
            os.close(opened)
        return OutputFile(
            ref=f"asset:{prediction_id}/{index}/{name}",
            index=index,
            name=name,
            sha256=info.sha256,
            size_bytes=info.size_bytes,
            content_type=media_type(name, head),
        )

    def _open(self, path_text: str, path: Path, folder: Path | None) -> tuple[int, bytes]:
        """Return an open descriptor of the file, and its first bytes."""
        opened = _open_below(path, folder)
        try:
            found = os.fstat(opened)
            if not stat.S_ISREG(found.st_mode):
                raise Refused(f"The model returned {path_text!r} as a file, but it is {_kind(found.st_mode)}.")
            if found.st_size > self._limit_bytes:
                raise TooLarge(
                    f"The model returned the file {path_text!r} of {found.st_size} bytes; "
                    f"the limit is {self._limit_bytes} bytes."
                )
            return opened, os.pread(opened, HEAD_BYTES, 0)
        except BaseException:
            os.close(opened)
            raise


def _is_heavy(value: Json) -> bool:
    return len(value) > HEAVY_BYTES or is_heavy(bytes(value))


def _inside(path_text: str, folder: Path | None) -> Path:
    """The path, if its text names a place below the run folder."""
    if folder is not None:
        path = folder / path_text
        if path != folder and path.is_relative_to(folder) and ".." not in path.parts:
            return path
    raise Forbidden(f"The model returned {path_text!r} as a file, which is not in the folder of this prediction.")


def _open_below(path: Path, folder: Path | None) -> int:
    """Open it directory by directory, so that no symbolic link is followed, even one that is created meanwhile."""
    *between, last = path.relative_to(folder or "/").parts
    here = os.open(folder or "/", os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        for name in between:
            below = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
        # O_NONBLOCK: opening a pipe must not block the thread
        return os.open(last, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=here)
    finally:
        os.close(here)


def _text(decoded: Any, pointer: Pointer) -> str:
    try:
        found = at(decoded, pointer)
    except (LookupError, TypeError, ValueError) as error:
        raise Refused(f"The output names a file at {list(pointer)}, but there is nothing at this place.") from error
    if not isinstance(found, str):
        raise Refused(f"The output names a file at {list(pointer)}, but a {type(found).__name__} is at this place.")
    return found


def _as_error(error: OSError, path_text: str) -> HalleyError:
    if error.errno == errno.ELOOP:
        return Forbidden(f"The model returned {path_text!r} as a file, but it is a link.")
    if error.errno == errno.ENOENT:
        return NotFound(f"The model returned the file {path_text!r}, but it does not exist.")
    return Refused(f"The model returned the file {path_text!r}, but it cannot be read: {error.strerror or error}.")


def _kind(mode: int) -> str:
    return "a folder" if stat.S_ISDIR(mode) else "not a regular file"
