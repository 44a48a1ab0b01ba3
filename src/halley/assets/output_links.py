"""Fetches the files that an output names by links: an upstream server keeps them for a limited time."""

import logging
import re
from pathlib import Path
from typing import Final

from anyio import to_thread

from halley.assets.data_urls import decode_data_url, is_data_url
from halley.assets.disk import reporting_full_disk
from halley.assets.fetched_content import content_fault, may_be_empty
from halley.assets.names import safe_name, suffix_for
from halley.assets.ports import Draft, Fetch, Fetched
from halley.clock import Clock, SystemClock
from halley.errors import AddressRefused, FetchFailed, Refused, TooLarge
from halley.slots import Slots

_log: Final = logging.getLogger(__name__)

_FOLDER: Final = "links"
FETCHES_AT_ONCE: Final = 32  # in all; services take turns, and one service cannot use them all
_URL: Final = re.compile(r"https?://[^\s,;'\"]*[^\s,;:.'\"]")
PAUSES_SECONDS: Final = (0.5, 2.0, 8.0)  # between the tries: a service may show a link before the file is everywhere
MOST_TRIES: Final = 20  # of one file, as long as each continues what the earlier ones have brought
_GONE: Final = frozenset({404, 410})  # one more try is enough


class OutputLinks:
    """Fetches links through `egress`, into the folder of the prediction."""

    def __init__(self, *, fetch: Fetch, limit_bytes: int, deadline_seconds: float, clock: Clock | None = None) -> None:
        """`deadline_seconds` is for one try."""
        self._fetch = fetch
        self._limit_bytes = limit_bytes
        self._deadline_seconds = deadline_seconds
        self._clock = clock or SystemClock()
        self._turns = Slots(FETCHES_AT_ONCE, shares=True)

    async def fetch(self, url: str, index: int, folder: Path | None, origin: tuple[str, int] | None = None) -> Path:
        """The path of the fetched file, to which nothing else writes. `origin` may be at any address.

        Raises:
            Refused: there is no folder for it, or something else came instead of the file.
            AddressRefused, FetchFailed, TooLarge: raised by the fetch.
        """
        if folder is None:
            raise Refused("The output names a link, and this prediction has no folder for its file.")
        try:
            return await self._kept(url, folder / _FOLDER / str(index), origin)
        except (AddressRefused, FetchFailed, TooLarge) as error:
            raise _without_links(error, index) from error

    async def _kept(self, url: str, inside: Path, origin: tuple[str, int] | None) -> Path:
        await to_thread.run_sync(_made, inside)
        if is_data_url(url):
            return await to_thread.run_sync(_written, url, inside, self._limit_bytes)
        fetched = await self._fetched(url, Draft(path=inside / "fetched.part"), origin)
        name = safe_name(fetched.file_name)
        fault = await to_thread.run_sync(content_fault, name, fetched)
        if fault is not None:
            raise Refused(f"The output names the file {name}, and {fault}.")
        path = inside / name
        await to_thread.run_sync(fetched.path.replace, path)
        return path

    async def _fetched(self, url: str, draft: Draft, origin: tuple[str, int] | None) -> Fetched:
        """A transfer that breaks off is continued if its host can do so, else begun again."""
        pauses = list(PAUSES_SECONDS)
        for tries in range(1, MOST_TRIES + 1):
            before_bytes = draft.size_bytes
            try:
                async with self._turns.hold(account=f"{origin}"):
                    fetched = await self._fetch.fetch(
                        url,
                        to=draft,
                        limit_bytes=self._limit_bytes,
                        deadline_seconds=self._deadline_seconds,
                        origin=origin,
                    )
            except FetchFailed as error:
                if draft.validator and draft.size_bytes > before_bytes:
                    pauses = list(PAUSES_SECONDS)
                if not pauses or tries == MOST_TRIES:
                    raise
                if error.status in _GONE:
                    del pauses[1:]
                _log.info("a file of an output is fetched again in %g s: %s", pauses[0], error)
            else:
                # a file that must not be empty may be so in its first moment
                if fetched.size_bytes or may_be_empty(fetched) or not pauses or tries == MOST_TRIES:
                    return fetched
            await self._clock.sleep(pauses.pop(0))
        raise AssertionError("the last try returns or raises")


def _written(url: str, inside: Path, limit_bytes: int) -> Path:
    """The file that a `data:` URL contains."""
    found = decode_data_url(url, limit_bytes)
    path = inside / safe_name(found.name or f"output{suffix_for(found.content_type)}")
    with reporting_full_disk():
        path.write_bytes(found.data)
    return path


def _made(inside: Path) -> None:
    with reporting_full_disk():
        inside.mkdir(parents=True, exist_ok=True)


def _without_links(
    error: AddressRefused | FetchFailed | TooLarge, index: int
) -> AddressRefused | FetchFailed | TooLarge:
    """The error for callers, who see no link of a service: the owner finds it in the events."""
    text = f"File {index + 1} of the output could not be copied here: {_URL.sub('its link', str(error))}"
    if isinstance(error, FetchFailed):
        return FetchFailed(text, status=error.status)
    return type(error)(text)
