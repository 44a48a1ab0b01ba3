"""One server that serves every predictor of `models/`, and what each of their cases ended with."""

import json
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from process import Halley

HERE: Final = Path(__file__).parent
MODELS: Final = HERE / "models"
AT_ONCE: Final = 4  # a model's cases run one after the other; so many models side by side
PATIENCE_SECONDS: Final = 120.0
OWN_METRICS: Final = {"predict_time", "total_time"}  # what the server measures itself

Case = Mapping[str, Any]


def predictors() -> dict[str, list[Case]]:
    """What each predictor gets and must give, by its name."""
    return {file.stem: json.loads(file.read_text()) for file in sorted(MODELS.glob("*.json"))}


class Served:
    """The server, with the answers to all cases."""

    def __init__(self, halley: Halley) -> None:
        self._halley = halley
        self._answers: dict[str, Future[list[Any]]] = {}

    def run(self, cases: Mapping[str, list[Case]]) -> None:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            self._answers = {name: threads.submit(self._run, name, its) for name, its in cases.items()}

    def answer(self, name: str, number: int) -> Any:
        """The body of an answer: a prediction that is over, or a problem with its status.

        What broke while the cases of this model ran is raised here, in its own tests.
        """
        return self._answers[name].result()[number]

    def schema(self, name: str) -> dict[str, Any]:
        """What a model's OpenAPI document says about it alone; the rest is the same for all."""
        status, _, model = self._halley.call("GET", f"/v1/models/interface/{name}")
        assert status == 200, model
        document = model["latest_version"]["openapi_schema"]
        own = {
            key: schema
            for key, schema in document["components"]["schemas"].items()
            if key not in {"Status", "ValidationError", "HTTPValidationError"}
            and not key.endswith(("Request", "Response"))
        }
        posts = {path: table["post"] for path, table in document["paths"].items() if path.count("/") == 1}
        marks = {path: post["x-cog-streaming"] for path, post in posts.items() if "x-cog-streaming" in post}
        return {**own, **({"x-cog-streaming": marks} if marks else {})}

    def fault(self, name: str) -> str:
        """Why a model is not served, as the server's log says."""
        lines = self._halley.output.read_text().splitlines()
        return next((line for line in lines if f"interface/{name} is not served" in line), "")

    def _run(self, name: str, cases: list[Case]) -> list[Any]:
        if cases[0].get("together"):
            begun = [self._create(name, case, wait=False) for case in cases]
            return [self._until(answer, lambda now: now.get("completed_at") is not None) for answer in begun]
        return [self._run_one(name, case) for case in cases]

    def _run_one(self, name: str, case: Case) -> Any:
        mark = case.get("cancel_at")
        if mark is None:
            return self._create(name, case, wait=True)
        begun = self._create(name, case, wait=False)
        self._until(begun, lambda now: mark in (now.get("logs") or ""))
        self._halley.call("POST", f"/v1/predictions/{begun['id']}/cancel")
        return self._until(begun, lambda now: now.get("completed_at") is not None)

    def _create(self, name: str, case: Case, *, wait: bool) -> Any:
        headers = {"Prefer": "wait=50"} if wait else {}
        body = {"input": case.get("input", {}), **({"context": case["context"]} if "context" in case else {})}
        status, _, answer = self._halley.call("POST", f"/v1/models/interface/{name}/predictions", body, headers=headers)
        if status != 201:
            return {**answer, "http": status}
        return self._until(answer, lambda now: now.get("completed_at") is not None) if wait else self._plain(answer)

    def _until(self, prediction: Any, reached: Any) -> Any:
        """The prediction as soon as it is so; as it is when patience ends."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            _, _, now = self._halley.call("GET", f"/v1/predictions/{prediction['id']}")
            if reached(now) or time.monotonic() > end:
                return self._plain(now)
            time.sleep(0.02)

    def _plain(self, prediction: Any) -> Any:
        """With the content of files in place of their links, and folders named alike on every machine."""
        logs = (prediction.get("logs") or "").replace(str(MODELS), "MODELS")
        own = {key: value for key, value in (prediction.get("metrics") or {}).items() if key not in OWN_METRICS}
        return {**prediction, "output": self._read(prediction.get("output")), "logs": logs, "metrics": own}

    def _read(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._read(item) for item in value]
        if isinstance(value, dict):
            return {key: self._read(item) for key, item in value.items()}
        if isinstance(value, str) and value.startswith(self._halley.url):
            status, _, content = self._halley.call("GET", value, key=None)
            assert status == 200, content
            return f"file:{content.decode()}"
        return value


def folder_or_file(name: str) -> Path:
    """Where a predictor lies."""
    file = MODELS / f"{name}.py"
    return file if file.exists() else MODELS / name
