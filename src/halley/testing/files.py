"""A fake for outbound fetches."""

from pathlib import Path

import anyio

from halley.assets.ports import Draft, Fetched
from halley.errors import AddressRefused, FetchFailed, HalleyError, TooLarge


class FakeFetch:
    """An `assets.ports.Fetch` that returns what a test stored for each URL, and records the requested URLs.

    Store bytes, perhaps with a media type, or an error to raise. Unknown URLs fail like an unreachable host; loopback
    URLs are refused as in a server without an allow-list.
    """

    def __init__(self) -> None:
        self.behind: dict[str, bytes | tuple[bytes, str] | HalleyError] = {}
        self.asked: list[str] = []

    def check_url(self, url: str) -> None:
        if "//127.0.0.1" in url or "//localhost" in url:
            raise AddressRefused("The address 127.0.0.1 is not reachable from here (loopback).")

    async def fetch(
        self,
        url: str,
        *,
        to: Path | Draft,
        limit_bytes: int,
        deadline_seconds: float,  # noqa: ARG002
        origin: tuple[str, int] | None = None,  # noqa: ARG002
    ) -> Fetched:
        self.check_url(url)
        self.asked.append(url)
        found = self.behind.get(url, FetchFailed(f"{url} could not be reached: it is not in this test."))
        if isinstance(found, HalleyError):
            raise found
        body, content_type = found if isinstance(found, tuple) else (found, "")
        if len(body) > limit_bytes:
            raise TooLarge(f"{url} is larger than the limit of {limit_bytes} bytes.")
        path = to if isinstance(to, Path) else to.path
        await anyio.Path(path).write_bytes(body)
        name = url.partition("?")[0].rpartition("/")[2] or "file"
        return Fetched(path=path, content_type=content_type, size_bytes=len(body), file_name=name)
