"""What the home page shows of predictions and models: few members of each."""

from collections.abc import Mapping

import msgspec

from halley.web.templating import seconds_between
from halley.web.views.media import files_in
from halley.web.views.result import percent_in
from halley.web.views.run import ShownRun
from halley.web.views.texts import cut, decode_small

_ERROR_CHARACTERS = 200
_LOG_CHARACTERS = 4000
_TEXT_CHARACTERS = 120


class RunLine(msgspec.Struct, frozen=True, kw_only=True):
    """One prediction in a few words. `thumb` is the path of its first picture."""

    id: str
    model: str
    status: str
    created_at: str
    seconds: float | None  # that it ran
    percent: int | None  # while it runs
    error: str | None
    thumb: str | None
    reason: str | None  # why it has not started
    text: str | None  # the beginning of an output that is text


class ModelLine(msgspec.Struct, frozen=True, kw_only=True):
    """One model in a few words."""

    owner: str
    name: str
    state: str
    reason: str | None
    run_count: int

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"


class ModelLines(msgspec.Struct, frozen=True, kw_only=True):
    """A page of models; their schemas are not read."""

    results: list[ModelLine]
    next: str | None = None


def line_of(run: ShownRun) -> RunLine:
    """The prediction in a few words."""
    picture = next((file.path for file in files_in(run.output, limit=4) if file.kind == "image"), None)
    return RunLine(
        id=run.id,
        model=run.model,
        status=run.status,
        created_at=run.created_at,
        seconds=seconds_between(run.started_at, run.completed_at),
        percent=None if run.has_ended else percent_in(run.logs[-_LOG_CHARACTERS:]),
        error=None if run.error is None else run.error[:_ERROR_CHARACTERS],
        thumb=None if run.data_removed else picture,
        reason=run.starting_reason,
        text=None if run.data_removed or picture else _beginning(run.output),
    )


def _beginning(output: msgspec.Raw) -> str | None:
    """The first words of a text, or of the pieces of one. Links to files are no words."""
    value = decode_small(output)
    pieces = value if isinstance(value, list) else [value]
    if not pieces or not all(isinstance(piece, str) for piece in pieces) or files_in(output, limit=1):
        return None
    return cut(" ".join("".join(pieces[:_TEXT_CHARACTERS])[: 2 * _TEXT_CHARACTERS].split()), _TEXT_CHARACTERS) or None


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds that 95 of 100 predictions took at most."""

    p95: float


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """The tiles at the top, from `/v1/predictions/summary`."""

    waiting: int
    running: int
    is_more: bool = False
    newest: int = 0
    statuses: Mapping[str, int] = {}
    wait_seconds: Times | None = None
    run_seconds: Times | None = None

    @property
    def failed(self) -> int:
        return self.statuses.get("failed", 0) + self.statuses.get("aborted", 0)

    @property
    def succeeded(self) -> int:
        return self.statuses.get("succeeded", 0)


read_models = msgspec.json.Decoder(ModelLines).decode
read_numbers = msgspec.json.Decoder(Numbers).decode
