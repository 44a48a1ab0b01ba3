"""The output of a run: its links, and the files of a content route, which are fetched with the token."""

import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeVar
from urllib.parse import urljoin

import msgspec
from anyio import to_thread

from halley.assets.data_urls import is_data_url
from halley.assets.disk import reporting_full_disk
from halley.assets.fetched_content import content_fault
from halley.assets.names import safe_name, split_suffix, suffix_for
from halley.assets.outputs import COPIES
from halley.assets.ports import Fetched
from halley.clock import Clock
from halley.dispatch.ports import OutputPart, Pointer
from halley.egress import OriginClient
from halley.egress.errors import FetchFailed, TooLarge
from halley.errors import Refused
from halley.providers.http_job.downloads import DownloadRules, download
from halley.providers.http_job.faults import Unsendable
from halley.providers.http_job.job import ContentForm, Job, JobModel
from halley.providers.http_job.pointers import first_of
from halley.providers.http_job.requests import JobRequest
from halley.providers.http_job.templates import Values
from halley.providers.services.api import ServiceApi
from halley.providers.services.outputs import LinkRules, OutputReader, is_url
from halley.retry import retry_until_accepted

_log: Final = logging.getLogger(__name__)

MOST_FILES: Final = 100  # of one run, fetched one after the other
PAUSES_SECONDS: Final = (1.0, 4.0, 15.0)  # between the tries: a service may say `completed` before the file is there
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PAGES: Final = frozenset({"text/html", "application/json", "application/problem+json"})  # an error, with status 200
_FOLDER: Final = f"{COPIES}/content"  # files there are not changed any more, so that they need not be copied

T = TypeVar("T")
_Kind = Literal["path", "link", "data"]


class _File(NamedTuple):
    """A file of an output: a path on this machine, a link, or a `data:` URL."""

    text: str
    kind: _Kind


class FinishedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that has succeeded: the output in its last answer, and the values for a content route."""

    model: JobModel
    output: Any
    values: Values
    folder: Path | None
    passes: bool = False  # links stay as they are, and their files are not fetched


class JobOutputs:
    """Makes the output of finished runs of one service."""

    def __init__(self, job: Job, api: ServiceApi, origin: OriginClient, clock: Clock) -> None:
        self._job = job
        self._api = api
        self._origin = origin
        self._clock = clock
        host, port = origin.host
        own = host if port in (80, 443) else f"{host}:{port}"
        self._rules = LinkRules(host=own, origin=origin.host)

    def is_missing(self, model: JobModel, output: Any) -> bool:
        """Whether a run that has succeeded shows no output, or not yet."""
        content = self._job.content
        return output is None and not (
            content is not None and not content.takes_output and model.schema.has_file_output
        )

    def reader(self, run: FinishedRun) -> OutputReader:
        """The reader for an output that is not fetched as files."""
        schema, rules = run.model.schema, msgspec.structs.replace(self._rules, passes=run.passes)
        return OutputReader(b"" if schema.is_any_output else schema.document, rules)

    async def parts(self, run: FinishedRun, reader: OutputReader) -> Iterator[OutputPart]:
        """The output, without the parts that `reader` has given already.

        Raises:
            HalleyError: it is not available; the message says why.
        """
        schema, content = run.model.schema, self._job.content
        if not schema.has_file_output:
            found = [run.output] if schema.is_list_output and not isinstance(run.output, list) else run.output
            return reader.final(found)
        if content is not None and (content.takes_output or run.output is None):
            files = await self._contents(content, run)
        else:
            files = [self._linked(item, self._job.answer.base64) for item in _items(run.output)]
        return iter([self._part(files, is_list=schema.is_list_output or len(files) != 1, passes=run.passes)])

    def _part(self, files: list[_File], *, is_list: bool, passes: bool) -> OutputPart:
        def places(kind: _Kind) -> tuple[Pointer, ...]:
            return tuple((index,) if is_list else () for index, file in enumerate(files) if file.kind == kind)

        texts = [file.text for file in files]
        links = places("data") if passes else (*places("link"), *places("data"))
        return OutputPart(
            value=msgspec.Raw(msgspec.json.encode(texts if is_list else texts[0])),
            paths=places("path"),
            links=links,
            origin=self._origin.host,
            more=False,
            passed=passes and bool(places("link")),
        )

    async def _contents(self, content: ContentForm, run: FinishedRun) -> list[_File]:
        if not content.takes_output:
            return await self._content(content, run, run.values, 0)
        files: list[_File] = []
        for item in _items(run.output):
            files += await self._content(content, run, {**run.values, "output": item}, len(files))
        return files

    async def _content(self, content: ContentForm, run: FinishedRun, values: Values, index: int) -> list[_File]:
        try:
            request = content.request.filled(values, "")
        except Unsendable as error:
            raise Refused(str(error)) from error
        if content.url:
            return await self._links(content, request)
        if run.folder is None:
            raise Refused("This prediction has no folder for a file of its output.")
        folder = run.folder / _FOLDER / str(index)
        return [await self._tried(lambda: self._file(request, folder))]

    async def _links(self, content: ContentForm, request: JobRequest) -> list[_File]:
        """The links in an answer of the content route."""

        async def ask() -> list[_File]:
            answer = await self._api.send(request.method, request.path, request.content, headers=request.headers)
            found = first_of(content.url, answer.value) if answer.status == 200 else None
            if found in (None, "", [], {}):
                raise FetchFailed(f"Its content route gave no link. {answer.fault}", status=answer.status)
            return [self._linked(item) for item in _items(found)]

        return await self._tried(ask)

    async def _file(self, request: JobRequest, folder: Path) -> _File:
        """The file; or a link to it, if the content route redirects, because the token is sent only to this service."""
        limits = self._job.limits
        draft = folder / "fetched.part"
        await to_thread.run_sync(_cleared, folder, draft)
        found = await download(
            self._origin,
            request.path,
            (*self._api.authorization, *request.headers),
            draft,
            DownloadRules(limit_bytes=limits.content_bytes, deadline_seconds=limits.content_seconds),
        )
        if found.status in _REDIRECTS and (location := found.headers.get("location")):
            return self._linked(_joined(self._origin.url(request.path), location))
        if found.status != 200:
            raise FetchFailed(f"Its content route answered {found.status}, not 200.", status=found.status)
        kind = found.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind in _PAGES:
            raise FetchFailed(f"Its content route sent {kind} instead of a file.")
        if not found.size_bytes:
            raise FetchFailed("Its content route sent a file of 0 bytes.")
        name = _named(found.name, kind)
        fetched = Fetched(path=draft, content_type=kind, size_bytes=found.size_bytes, file_name=name)
        if (fault := await to_thread.run_sync(content_fault, name, fetched)) is not None:
            raise FetchFailed(f"Its content route has the file {name}, and {fault}.")
        path = folder / name
        await to_thread.run_sync(draft.replace, path)
        return _File(str(path), "path")

    def _linked(self, item: Any, base64: str | None = None) -> _File:
        """A file that the service names in an answer; with `base64`, the type of the files whose bytes are in the
        answer.
        """
        if isinstance(item, str) and is_url(item):
            return _File(item.strip(), "link")
        if isinstance(item, str) and is_data_url(item):
            return _File(item, "data")
        if isinstance(item, str) and base64 is not None:
            return _File(f"data:{base64};base64,{item}", "data")
        text = item if isinstance(item, str) else msgspec.json.encode(item).decode()
        shown = self._api.journal.without_token(text)[:100]
        raise Refused(f"The service has as its output {shown!r}, which is no link to a file.")

    async def _tried(self, fetch: Callable[[], Awaitable[T]]) -> T:
        """Fetch it; after an error that may be temporary, try again after a pause. While the disk is full, wait."""
        for seconds in PAUSES_SECONDS:
            try:
                return await self._with_room(fetch)
            except FetchFailed as error:
                self._api.journal.note(str(error))
                _log.info("an output is fetched again in %g s: %s", seconds, error)
            await self._clock.sleep(max(seconds, self._api.pace.paused_seconds))
        return await self._with_room(fetch)

    async def _with_room(self, fetch: Callable[[], Awaitable[T]]) -> T:
        return await retry_until_accepted(fetch, self._clock, "a file of an output waits")


def _cleared(folder: Path, draft: Path) -> None:
    with reporting_full_disk():
        folder.mkdir(parents=True, exist_ok=True)
    draft.unlink(missing_ok=True)


def _joined(base: str, location: str) -> str:
    try:
        return urljoin(base, location)
    except ValueError:
        return location


def _items(found: Any) -> list[Any]:
    items = found if isinstance(found, list) else [found]
    if len(items) > MOST_FILES:
        raise TooLarge(f"The output has {len(items)} files; the limit is {MOST_FILES}.")
    return items


def _named(name: str, kind: str) -> str:
    """The name of a file; without an extension, it gets that of its type."""
    return safe_name(name if split_suffix(name)[1] else f"{name}{suffix_for(kind)}")
