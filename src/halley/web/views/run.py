"""A prediction as the API shows it, read for a page: large values stay bytes."""

from typing import Any, Final

import msgspec

_ENDED: Final = frozenset({"succeeded", "failed", "canceled", "aborted"})


class ShownRun(msgspec.Struct, frozen=True, kw_only=True):
    """The members of a prediction that pages use."""

    id: str
    model: str
    version: str
    status: str
    created_at: str
    input: msgspec.Raw = msgspec.Raw(b"{}")
    output: msgspec.Raw = msgspec.Raw(b"null")
    logs: str = ""
    error: str | None = None
    data_removed: bool = False
    source: str = "api"
    started_at: str | None = None
    completed_at: str | None = None
    metrics: dict[str, Any] = {}
    urls: dict[str, str] = {}
    webhook: str | None = None
    webhook_events_filter: list[str] | None = None
    deployment: str | None = None
    deadline: str | None = None
    termination_reason: str | None = None
    starting_reason: str | None = None
    repeated_creates: int = 0
    tags: list[str] = []

    @property
    def has_ended(self) -> bool:
        return self.status in _ENDED

    @property
    def has_output(self) -> bool:
        return memoryview(self.output).nbytes != 4 or bytes(self.output) != b"null"


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a list of predictions."""

    results: list[ShownRun]
    next: str | None = None
    previous: str | None = None


read_run: Final = msgspec.json.Decoder(ShownRun).decode
read_run_page: Final = msgspec.json.Decoder(RunPage).decode
