"""A double of what the room of files needs: a door out that leads nowhere."""

from pathlib import Path

import anyio

from halley.assets.ports import Fetched
from halley.errors import AddressRefused, FetchFailed, HalleyError, TooLarge


class FakeFetch:
    """`assets.ports.Fetch` that gives what a test put behind each URL, and remembers what was asked for.

    Put bytes, with a media type if you like, or an error to raise. Unknown URLs fail like a dead host; URLs on
    loopback are refused like in a server without allow-list.
    """

    def __init__(self) -> None:
        self.behind: dict[str, bytes | tuple[bytes, str] | HalleyError] = {}
        self.asked: list[str] = []

    def check_url(self, url: str) -> None:
        if "//127.0.0.1" in url or "//localhost" in url:
            raise AddressRefused("The address 127.0.0.1 is not reachable from here (loopback).")

    async def fetch(self, url: str, *, to: Path, limit_bytes: int, deadline_seconds: float) -> Fetched:  # noqa: ARG002
        self.check_url(url)
        self.asked.append(url)
        found = self.behind.get(url, FetchFailed(f"{url} could not be reached: it is not in this test."))
        if isinstance(found, HalleyError):
            raise found
        body, content_type = found if isinstance(found, tuple) else (found, "")
        if len(body) > limit_bytes:
            raise TooLarge(f"{url} is larger than the limit of {limit_bytes} bytes.")
        await anyio.Path(to).write_bytes(body)
        name = url.partition("?")[0].rpartition("/")[2] or "file"
        return Fetched(path=to, content_type=content_type, size_bytes=len(body), file_name=name)
