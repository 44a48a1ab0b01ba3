"""The fake service: its predictions, and the answers to requests."""

import json
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

import msgspec

from halley.testing.replicate.faults import ServiceFault, answer
from halley.testing.replicate.scripts import Script, Stage

Style = Literal["replicate", "cometapi", "halley"]
PAGE_ROWS: Final = 100
TOKEN: Final = "r8_canary-of-the-provider"  # noqa: S105 - a toy, searched for in what may never have it


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it arrived; header names in lower case."""

    method: str
    path: str  # with its query
    headers: Mapping[str, str]
    body: bytes


class FakeRun:
    """One prediction there."""

    more_urls: Mapping[str, str] = {}
    webhook: str | None = None
    webhook_events_filter: Sequence[str] = ()

    def __init__(self, id: str, model: str, given: dict[str, Any], stages: list[Stage], created_at: datetime) -> None:
        self.id = id
        self.model = model
        self.input = given
        self.stages = stages
        self.reads = 0
        self.created_at = created_at
        self.is_canceled = False

    def shown(self, stage: Stage) -> dict[str, Any]:
        """As JSON. Its addresses lead elsewhere, as CometAPI's do."""
        status = "canceled" if self.is_canceled else stage.status
        return {
            "id": self.id,
            "model": self.model,
            "version": "hidden",
            "input": self.input,
            "status": status,
            "output": stage.output,
            "logs": stage.logs,
            "error": stage.error,
            "metrics": stage.metrics,
            "created_at": self.created_at.isoformat().replace("+00:00", "Z"),
            "data_removed": False,
            "urls": {"get": f"https://api.replicate.com/v1/predictions/{self.id}", **self.more_urls},
            **({} if self.webhook is None else {"webhook": self.webhook}),
        }


class FakeService:
    """Counts what it is asked, and answers. `faults` are used up by method and kind of path, oldest first."""

    def __init__(self, models: Mapping[str, Script], *, style: Style = "replicate") -> None:
        self.models: Final = models
        self.style: Final = style
        self.runs: dict[str, FakeRun] = {}
        self.asked: list[Asked] = []
        self.files: dict[str, bytes] = {}  # of outputs, by name
        self.uploads: dict[str, bytes] = {}
        self.ahead = timedelta()  # of its clock
        self.described: dict[str, Any] = {}  # answers for models, by `owner/name`
        self._keys: dict[str, tuple[str, bytes]] = {}
        self._faults: dict[str, deque[ServiceFault]] = {}

    def now(self) -> datetime:
        """The time of its clock."""
        return datetime.now(UTC) + self.ahead

    @property
    def creates(self) -> Counter[str]:
        """How many runs there are, by their input."""
        return Counter(json.dumps(run.input, sort_keys=True) for run in self.runs.values())

    def plan(self, kind: str, *faults: ServiceFault) -> None:
        """Treat the next requests of a kind so: "create", "read", "list", "cancel", "model", "upload" or
        "file".
        """
        self._faults.setdefault(kind, deque()).extend(faults)

    def fault(self, asked: Asked) -> ServiceFault | None:
        """The planned fault for a request."""
        planned = self._faults.get(kind_of(asked))
        return planned.popleft() if planned else None

    def note(self, asked: Asked, fault: ServiceFault) -> None:
        """A request has arrived as a whole, or as much of it as the fault lets arrive."""
        del fault
        self.asked.append(asked)

    def answer(self, asked: Asked) -> bytes:
        """The answer of a service that works."""
        if kind_of(asked) == "file":
            data = self.files.get(urlsplit(asked.path).path.rpartition("/")[2])
            return answer(404, b"gone") if data is None else answer(200, data, kind="image/png")
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return answer(401, self._error("invalid token"))
        given = getattr(self, f"_{kind_of(asked)}", self._other)(asked)
        return given if isinstance(given, bytes) else answer(200, given)

    def _create(self, asked: Asked) -> bytes:
        body = json.loads(asked.body)
        model = "/".join(_parts(asked)[1:3]) if _parts(asked)[0] == "models" else body["version"]
        key = asked.headers.get("idempotency-key") if self.style == "halley" else None
        if key in self._keys:
            return self._repeated(self._keys[key], asked.body)
        if model not in self.models:
            return answer(404, self._error(f"There is no model {model}."))
        run = self.begin(model, body["input"])
        run.webhook, run.webhook_events_filter = body.get("webhook"), body.get("webhook_events_filter", ())
        if key is not None:
            self._keys[key] = (run.id, asked.body)
        return answer(201, self._whole(run.shown(run.stages[0])))

    def begin(self, model: str, given: dict[str, Any]) -> FakeRun:
        """A new run."""
        name = f"{len(self.runs) + 1:026d}"
        run = self.runs[name] = FakeRun(name, model, given, self.models[model](given), self.now())
        return run

    def _repeated(self, known: tuple[str, bytes], body: bytes) -> bytes:
        name, first = known
        if first == body:
            return answer(201, self.runs[name].shown(self.runs[name].stages[0]))
        detail = f"This Idempotency-Key was used for another request, which created the prediction {name}."
        return answer(422, {"title": "Idempotency key reused", "detail": detail, "status": 422})

    def _read(self, asked: Asked) -> bytes | dict[str, Any]:
        run = self.runs.get(_parts(asked)[1])
        if run is None:
            return answer(404, self._error("not found"))
        stage = run.stages[min(run.reads, len(run.stages) - 1)]
        run.reads += 1
        return self._whole(run.shown(stage))

    def _cancel(self, asked: Asked) -> bytes | dict[str, Any]:
        run = self.runs.get(_parts(asked)[1])
        if run is None or self.style == "cometapi":
            return answer(404, self._error("not found"))
        run.is_canceled = True
        return run.shown(run.stages[-1])

    def _list(self, asked: Asked) -> bytes | dict[str, Any]:
        if self.style == "cometapi":
            return answer(404, b"<html>404</html>", kind="text/html")
        start = int(parse_qs(urlsplit(asked.path).query).get("cursor", ["0"])[0])
        newest = list(reversed(self.runs.values()))
        rows = [run.shown(run.stages[-1]) for run in newest[start : start + PAGE_ROWS]]
        more = start + PAGE_ROWS < len(newest)
        following = f"https://api.replicate.com/v1/predictions?cursor={start + PAGE_ROWS}" if more else None
        return {"previous": None, "next": following, "results": rows}

    def _model(self, asked: Asked) -> bytes | dict[str, Any]:
        found = self.described.get("/".join(_parts(asked)[1:]))
        return answer(404, self._error("not found")) if found is None else dict(found)

    def _upload(self, asked: Asked) -> bytes:
        if self.style == "cometapi":
            return self._other(asked)
        name = f"{len(self.uploads) + 1:026d}"
        boundary = b"--" + asked.headers["content-type"].partition("boundary=")[2].encode()
        part = asked.body.split(boundary)[1]
        self.uploads[name] = part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
        return answer(201, {"id": name, "urls": {"get": f"https://api.replicate.com/v1/files/{name}"}})

    def _other(self, asked: Asked) -> bytes:
        return answer(404, f"<html>nothing at {asked.path}</html>".encode(), kind="text/html")

    def _whole(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"code": "success", "message": "", "data": body} if self.style == "cometapi" else body

    def _error(self, text: str) -> dict[str, Any]:
        if self.style == "cometapi":
            return {"error": {"code": "", "message": f"{text} (request id: 2026)", "type": "comet_api_error"}}
        return {"title": "Refused", "detail": text, "status": 0}


def kind_of(asked: Asked) -> str:
    """The kind of a request."""
    parts = _parts(asked)
    if parts[:1] == ["a"]:
        return "file"
    if asked.method == "POST" and parts == ["files"]:
        return "upload"
    if asked.method == "POST":
        return "cancel" if parts[-1] == "cancel" else "create" if parts[-1] == "predictions" else "other"
    if parts == ["predictions"]:
        return "list"
    return {"predictions": "read", "models": "model"}.get(parts[0], "other") if parts else "other"


def _parts(asked: Asked) -> list[str]:
    path = urlsplit(asked.path).path
    return [part for part in path.removeprefix("/replicate").removeprefix("/v1").split("/") if part]
