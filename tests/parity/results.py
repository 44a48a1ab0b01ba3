"""What a prediction came to, in words that both servers' answers are brought into.

The differences that are taken out, and nothing else:

* files: both an inline `data:` URL and a link become the file's bytes and media type (without its parameters);
* errors: Cog writes "Prediction failed: " and the like before it, often twice; we write " (file.py:12)" behind it;
* logs of a failed prediction: we end them with the model's traceback, Cog shows it nowhere;
* metrics: times (`predict_time`, `total_time`) differ from run to run;
* an input that is refused: only that it is (422), not in which words;
* nothing and null: Cog leaves out an output that is null, and the logs when there are none.
"""

import base64
import json
import re
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any, Final

import msgspec

TIMES: Final = frozenset({"predict_time", "total_time"})
_PREFIX: Final = re.compile(r"^(?:(?:Prediction failed|Async prediction failed|Generator iteration error): )+")
_TRACEBACK: Final = re.compile(r"^Traceback \(most recent call last\):\n.*\Z", re.MULTILINE | re.DOTALL)
_CLASS: Final = re.compile(r"[A-Za-z_]*")
_PLACE: Final = re.compile(r" \([\w./-]+\.py:\d+\)$")


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One prediction, normalised."""

    status: str
    output: Any = None
    error: str | None = None
    logs: str = ""
    metrics: dict[str, Any] = {}

    @classmethod
    def refused(cls, status: int) -> "Result":
        return cls(status=f"refused with {status}")

    @classmethod
    def of_cog(cls, answer: dict[str, Any]) -> "Result":
        return cls._of(answer, _data)

    @classmethod
    def of_halley(cls, answer: dict[str, Any], origin: str) -> "Result":
        if answer["status"] == "failed":
            answer = answer | {"logs": _TRACEBACK.sub("", answer["logs"])}
        return cls._of(answer, lambda url: _download(url) if url.startswith(f"{origin}/d/") else _data(url))

    @classmethod
    def _of(cls, answer: dict[str, Any], read: Callable[[str], tuple[str, bytes] | None]) -> "Result":
        error = answer.get("error")
        metrics = answer.get("metrics") or {}
        return cls(
            status=answer["status"],
            output=_with_files(answer.get("output"), read),
            error=None if error is None else _PLACE.sub("", _PREFIX.sub("", error)),
            logs=answer.get("logs") or "",
            metrics={name: value for name, value in metrics.items() if name not in TIMES},
        )

    @property
    def error_class(self) -> str:
        """The class of the exception that the model raised or got: what stands before the colon."""
        return _CLASS.match(self.error or "")[0]  # type: ignore[index]  # it matches everything

    def differences(self, other: "Result") -> dict[str, tuple[Any, Any]]:
        """Each member that differs, with both values."""
        pairs = ((name, getattr(self, name), getattr(other, name)) for name in self.__struct_fields__)
        # as JSON, for 1 is not 1.0 and not true
        return {name: (mine, its) for name, mine, its in pairs if _text(mine) != _text(its)}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _with_files(value: Any, read: Callable[[str], tuple[str, bytes] | None]) -> Any:
    if isinstance(value, dict):
        return {name: _with_files(member, read) for name, member in value.items()}
    if isinstance(value, list):
        return [_with_files(item, read) for item in value]
    found = read(value) if isinstance(value, str) and value.startswith(("data:", "http://")) else None
    if found is None:
        return value
    kind, content = found
    return {"media type": kind.partition(";")[0], "bytes": base64.b64encode(content).decode()}


def _download(url: str) -> tuple[str, bytes]:
    with urllib.request.urlopen(url, timeout=120) as answer:
        return answer.headers["Content-Type"], answer.read()


def _data(url: str) -> tuple[str, bytes] | None:
    kind, comma, text = url.removeprefix("data:").partition(",")
    if not comma or not url.startswith("data:"):
        return None
    if kind.endswith(";base64"):
        return kind.removesuffix(";base64"), base64.b64decode(text)
    return kind, urllib.parse.unquote_to_bytes(text)
