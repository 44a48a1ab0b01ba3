"""Brings the files that an output names by links: a place elsewhere keeps them for a while only."""

from pathlib import Path
from typing import Final

from anyio import to_thread

from halley.assets.names import safe_name
from halley.assets.ports import Fetch
from halley.errors import Refused

_FOLDER: Final = "links"


class OutputLinks:
    """Fetches links through the door out, into the folder of the prediction."""

    def __init__(self, *, fetch: Fetch, limit_bytes: int, deadline_seconds: float) -> None:
        self._fetch = fetch
        self._limit_bytes = limit_bytes
        self._deadline_seconds = deadline_seconds

    async def bring(self, url: str, index: int, folder: Path | None) -> Path:
        """The file behind the link, in a place that nothing else writes to.

        Raises:
            Refused: there is no folder to put it into.
            AddressRefused, FetchFailed, TooLarge: as the fetch says.
        """
        if folder is None:
            raise Refused("The output names a link, and this prediction has no folder for its file.")
        inside = folder / _FOLDER / str(index)
        await to_thread.run_sync(lambda: inside.mkdir(parents=True, exist_ok=True))
        draft = inside / "fetched.part"
        await to_thread.run_sync(lambda: draft.unlink(missing_ok=True))  # of a try that found no room to store it
        fetched = await self._fetch.fetch(
            url, to=draft, limit_bytes=self._limit_bytes, deadline_seconds=self._deadline_seconds
        )
        path = inside / safe_name(fetched.file_name)
        await to_thread.run_sync(draft.replace, path)
        return path
