"""Copies the files of an input to this machine, so that a model receives local paths only."""

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import anyio
import msgspec
from anyio import to_thread

from halley.assets.blob_references import BlobReferences
from halley.assets.copies import copy_out, write_new
from halley.assets.data_urls import check_data_url, decode_data_url, is_data_url
from halley.assets.holding import OWNER_KIND, HeldFile, held, to_hold
from halley.assets.links import OwnLink, own_link
from halley.assets.names import distinct, safe_name, split_suffix, suffix_for
from halley.assets.own_links import OwnFiles, OwnLinks, no_file
from halley.assets.ports import Blobs, Fetch, StoredFile
from halley.assets.positions import FilePosition, Pointer, places, read_places, with_texts
from halley.assets.turns import with_pauses
from halley.clock import Clock
from halley.errors import (
    AddressRefused,
    FetchFailed,
    Forbidden,
    HalleyError,
    InputInvalid,
    InvalidField,
    NotFound,
    Refused,
    TooLarge,
)
from halley.models.faults import Faults, field_at
from halley.predictions.large import LINKS_LIMIT, LargeValues, Link
from halley.predictions.ports import InputFile
from halley.predictions.records import OutputFile
from halley.slots import Slots
from halley.strict_json import is_heavy

AT_ONCE: Final = 4  # parallel fetches of one input
FETCHES_AT_ONCE: Final = 32  # parallel fetches in all; accounts take turns, and one account cannot use them all
_CHECKED_HERE: Final = 2**17  # characters of `data:` URLs; more are checked in a thread
_SHOWN: Final = 60


class StagedInput(msgspec.Struct, frozen=True, kw_only=True):
    """An input whose files are local: `paths` are the places in `input` (a JSON object) where a string is a
    local path.
    """

    input: bytes
    paths: tuple[Pointer, ...] = ()


class StagingRules(msgspec.Struct, frozen=True, kw_only=True):
    """Which files an input may name, and how long fetching one may take.

    With `links_need_account`, a link to an output file is valid only for the account of that prediction. A path inside
    one of `allow_folders` is passed on unchanged; the runner checks its real path.
    """

    inline_limit_bytes: int
    fetch_limit_bytes: int
    fetch_seconds: float
    fetches_at_once: int = FETCHES_AT_ONCE
    links_need_account: bool = False
    allow_folders: tuple[Path, ...] = ()


class InputFileStager:
    """Replaces links in file positions by paths of local copies. Implements `dispatch.ports.InputStager`."""

    def __init__(
        self,
        *,
        fetch: Fetch,
        own: OwnFiles,
        blobs: Blobs,
        blob_references: BlobReferences,
        clock: Clock,
        rules: StagingRules,
        large: LargeValues | None = None,
    ) -> None:
        """`large` reads and changes large inputs in another process; without it, everything is done in this one."""
        self._fetch = fetch
        self._blobs = blobs
        self._blob_references = blob_references
        self._inline_limit_bytes = rules.inline_limit_bytes
        self._fetch_limit_bytes = rules.fetch_limit_bytes
        self._fetch_seconds = rules.fetch_seconds
        self._fetches = Slots(rules.fetches_at_once, shares=True)
        self.own = OwnLinks(
            own, blob_references=blob_references, clock=clock, links_need_account=rules.links_need_account
        )
        self._large = large
        self._allow_folders = rules.allow_folders
        self._places: dict[str, FilePosition | None] = {}  # by version

    def has_files(self, version: str, openapi_schema: bytes) -> bool:
        """Whether the version's input can name files at all."""
        return self._places_of(version, openapi_schema) is not None

    # predictions.ports.FileLinks: what is refused here never becomes a prediction

    def links(self, version: str, openapi_schema: bytes, value: Mapping[str, Any]) -> Sequence[Link]:
        """The strings in file positions; at most one more than LINKS_LIMIT."""
        where = self._places_of(version, openapi_schema)
        return [] if where is None else list(islice(self._closed(places(where, dict(value))), LINKS_LIMIT + 1))

    async def faults(self, links: Sequence[Link], most: int) -> tuple[InvalidField, ...]:
        """The links that can never be used, as far as this is known without network or store."""
        found = Faults(most)
        async for pointer, link in with_pauses(self._closed(links)):
            try:
                self._check_link(link)
            except HalleyError as error:
                found.add(InvalidField(type="link", field=field_at(pointer), description=str(error)))
        return found.all()

    async def own_files(self, links: Sequence[Link], account_id: str) -> tuple[InputFile, ...]:
        """Files of this server among them; the store keeps these until the prediction has ended.

        A link to a file that does not exist adds nothing; staging reports it.

        Raises:
            InputInvalid, TooLarge: a `data:` URL that cannot be decoded, or is over the limit.
        """
        found: dict[str, InputFile] = {}
        await self._check_data_urls([one for one in links if is_data_url(one[1])])
        async for _, link in with_pauses(self._closed(links)):
            own = self.own.recognised(link)
            try:
                file = None if own is None else await self.own.file(own, account_id)
            except HalleyError:
                continue
            if own is not None and file is not None:
                found[self.own.word(own)] = to_hold(self.own.word(own), file)
        return tuple(found.values())

    async def stage(
        self,
        *,
        prediction_id: str,
        version: str,
        openapi_schema: bytes,
        account_id: str,
        work_input: bytes,
        folder: Path,
    ) -> StagedInput:
        """Replace links in file positions by paths of new files inside `folder`/inputs.

        A link to an output of this server needs only its signature, unless `links_need_account`; an uploaded file must
        belong to the account, or its link must be signed. Neither uses the network. Other http(s) URLs are fetched
        through `egress`.

        Raises:
            InputInvalid: a value is not a link, or its file does not exist; the message names the member.
            AddressRefused, FetchFailed, TooLarge: raised by `egress`, with the member's name added.
            StorageFull: no room for the copies.
        """
        if self._large is not None and is_heavy(work_input):
            wanted = list(self._closed(await self._large.links(version, openapi_schema, work_input)))
        else:
            wanted = list(self.links(version, openapi_schema, msgspec.json.decode(work_input)))
        if not wanted:
            return StagedInput(input=work_input)
        inside = folder / "inputs"
        await to_thread.run_sync(lambda: inside.mkdir(parents=True, exist_ok=True))
        was_held = any([self.own.recognised(link) is not None async for _, link in with_pauses(wanted)])
        references = await self._blob_references.references(OWNER_KIND, prediction_id) if was_held else []
        room = _FileNames(inside, held(references))
        brought = await self._all(wanted, room, account_id)
        staged = await self._filled(work_input, [(pointer, str(path)) for pointer, path in brought.items()])
        return StagedInput(input=staged, paths=tuple(pointer for pointer, _ in wanted))

    async def _filled(self, work_input: bytes, paths: Sequence[Link]) -> bytes:
        if self._large is not None and is_heavy(work_input):
            return await self._large.fill(work_input, paths)
        return with_texts(work_input, paths)

    async def _check_data_urls(self, found: list[tuple[Pointer, str]]) -> None:
        if sum(len(link) for _, link in found) <= _CHECKED_HERE:
            check_all(found, self._inline_limit_bytes)
        else:
            await to_thread.run_sync(check_all, found, self._inline_limit_bytes)

    def _closed(self, links: Iterable[Link]) -> Iterable[Link]:
        """The links without paths in folders that the operator opened."""
        return (link for link in links if not (link[1].startswith("/") and self._is_open(link[1])))

    def _is_open(self, text: str) -> bool:
        path = os.path.normpath(text)
        return any(Path(path).is_relative_to(folder) for folder in self._allow_folders)

    def _places_of(self, version: str, openapi_schema: bytes) -> FilePosition | None:
        if version not in self._places:
            self._places[version] = read_places(openapi_schema)
        return self._places[version]

    async def _all(self, wanted: Sequence[Link], room: "_FileNames", account_id: str) -> dict[Pointer, Path]:
        found: dict[Pointer, Path] = {}
        failures: list[Exception] = []
        turns = anyio.Semaphore(AT_ONCE)

        async def one(pointer: Pointer, link: str) -> None:
            async with turns:
                try:
                    found[pointer] = await self._fetch_or_copy(link, pointer, room, account_id)
                except (HalleyError, OSError) as error:
                    failures.append(_named(error, pointer))
                    tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            for pointer, link in wanted:
                tasks.start_soon(one, pointer, link)
        if failures:
            raise failures[0]
        return found

    async def _fetch_or_copy(self, link: str, pointer: Pointer, room: "_FileNames", account_id: str) -> Path:
        if is_data_url(link):
            return await self._decode(link, pointer, room)
        own = self.own.recognised(link)
        if own is None:
            return await self._from_outside(link, room, account_id)
        file = room.held.get(self.own.word(own)) or await self.own.file(own, account_id)
        return await self._from_elsewhere(own, link, room, account_id) if file is None else await self._copy(file, room)

    async def _decode(self, link: str, pointer: Pointer, room: "_FileNames") -> Path:
        found = await to_thread.run_sync(decode_data_url, link, self._inline_limit_bytes)
        path = room.place(found.name or _member(pointer), found.content_type)
        await to_thread.run_sync(write_new, path, found.data)
        return path

    async def _from_elsewhere(self, own: OwnLink, url: str, room: "_FileNames", account_id: str) -> Path:
        # another server's file may have a URL of the same form; a refused address shows that it was ours and is removed
        try:
            return await self._from_outside(url, room, account_id)
        except AddressRefused as error:
            raise no_file(own) from error

    def _check_link(self, link: str) -> None:
        if not is_data_url(link) and own_link(link) is None:
            self._check_outside(link)

    def _check_outside(self, url: str) -> None:
        if not url[:8].lower().startswith(("http://", "https://")):
            raise Refused(
                f"{_short(url)} is no link to a file: pass an http(s) URL, a data: URL or an uploaded file's URL"
            )
        self._fetch.check_url(url)

    async def _from_outside(self, url: str, room: "_FileNames", account_id: str) -> Path:
        self._check_outside(url)
        draft = room.draft()
        async with self._fetches.hold(account=account_id):  # before its deadline starts
            fetched = await self._fetch.fetch(
                url, to=draft, limit_bytes=self._fetch_limit_bytes, deadline_seconds=self._fetch_seconds
            )
        path = room.place(fetched.file_name, fetched.content_type)
        await to_thread.run_sync(draft.rename, path)
        return path

    async def _copy(self, file: OutputFile | StoredFile | HeldFile, room: "_FileNames") -> Path:
        path = room.place(file.name, file.content_type)
        await copy_out(self._blobs, file.sha256, path)
        return path


class _FileNames:
    """File names of one input: close to their origin, and unique; and the files that are held for it."""

    def __init__(self, folder: Path, held_files: Mapping[str, HeldFile]) -> None:
        self.held = held_files
        self._folder = folder
        self._taken: set[str] = set()
        self._drafts = 0

    def place(self, name: str, content_type: str) -> Path:
        """Return a free path. A name without extension gets that of the type, because models check it."""
        safe = safe_name(name)
        if not split_suffix(safe)[1]:
            safe = safe_name(safe + suffix_for(content_type))
        return self._folder / distinct(safe, self._taken)

    def draft(self) -> Path:
        self._drafts += 1
        return self._folder / distinct(f"fetched-{self._drafts}.part", self._taken)


def check_all(found: list[tuple[Pointer, str]], limit_bytes: int) -> None:
    for pointer, link in found:
        try:
            check_data_url(link, limit_bytes)
        except HalleyError as error:
            raise _named(error, pointer) from error


def _named(error: Exception, pointer: Pointer) -> Exception:
    """Put the member's name before the reason. Faults that the caller can correct in the input become InputInvalid."""
    field = ".".join(["input", *map(str, pointer)])
    if isinstance(error, AddressRefused | FetchFailed | TooLarge):
        return type(error)(f"{field}: {error}")
    if isinstance(error, NotFound | Forbidden) or type(error) is Refused:
        return InputInvalid((InvalidField(type="format", field=field, description=str(error)),))
    return error


def _member(pointer: Pointer) -> str:
    """The name of the innermost object member; list indexes are left out."""
    return next((step for step in reversed(pointer) if isinstance(step, str)), "input")


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
