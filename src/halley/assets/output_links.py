"""Fetches the files that an output names by links: an upstream server keeps them for a limited time."""

from pathlib import Path
from typing import Final

from anyio import to_thread

from halley.assets.names import safe_name
from halley.assets.ports import Fetch
from halley.errors import Refused

_FOLDER: Final = "links"


class OutputLinks:
    """Fetches links through `egress`, into the folder of the prediction."""

    def __init__(self, *, fetch: Fetch, limit_bytes: int, deadline_seconds: float) -> None:
        self._fetch = fetch
        self._limit_bytes = limit_bytes
        self._deadline_seconds = deadline_seconds

    async def fetch(self, url: str, index: int, folder: Path | None) -> Path:
        """The path of the fetched file, to which nothing else writes.

        Raises:
            Refused: there is no folder for it.
            AddressRefused, FetchFailed, TooLarge: raised by the fetch.
        """
        if folder is None:
            raise Refused("The output names a link, and this prediction has no folder for its file.")
        inside = folder / _FOLDER / str(index)
        await to_thread.run_sync(lambda: inside.mkdir(parents=True, exist_ok=True))
        draft = inside / "fetched.part"
        # left by an attempt that found no room to store it
        await to_thread.run_sync(lambda: draft.unlink(missing_ok=True))
        fetched = await self._fetch.fetch(
            url, to=draft, limit_bytes=self._limit_bytes, deadline_seconds=self._deadline_seconds
        )
        path = inside / safe_name(fetched.file_name)
        await to_thread.run_sync(draft.replace, path)
        return path
