"""What a command says about a prediction that is over, and where its output goes."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

from halley.cli.client import Client, Json
from halley.cli.downloading import Downloads, forget, write_whole
from halley.cli.failures import ExitCode, LinkGone, NotSaved, UsageProblem, exit_code_of_status
from halley.cli.naming import name_for
from halley.cli.saving import Asset, find_assets, save_prediction, saved_already
from halley.cli.screen import Screen, human_bytes

LAST_LOG_LINES: Final = 8


def report_end(screen: Screen, prediction: Json, *, logs_shown: bool = False, is_kept: bool = True) -> ExitCode:
    """Say on stderr how it ended, with status, error and metrics; give the exit code.

    `logs_shown`: the user has seen its logs. `is_kept`: the server will still know it later.
    """
    status = str(prediction.get("status"))
    code = exit_code_of_status(status)
    figures = metrics_line(prediction)
    if code is ExitCode.SUCCEEDED:
        screen.note(f"  {screen.mark(status)}{f' · {figures}' if figures else ''}")
        return code
    if code is ExitCode.FAILED:
        error = prediction.get("error")
        reason = error.strip() if isinstance(error, str) else json.dumps(error) if error else "no reason given"
        took = _seconds_of(prediction)
        screen.error(
            f"prediction {prediction['id']} failed{f' after {took:.1f} s' if took is not None else ''}: {reason}"
        )
    else:
        reason = prediction.get("error") or prediction.get("termination_reason") or ""
        screen.note(f"prediction {prediction['id']} was {status}{f': {reason}' if reason else ''}")
    if figures:
        screen.note(f"  metrics: {figures}")
    lines = [line for line in str(prediction.get("logs") or "").splitlines() if line.strip()]
    if lines and code is ExitCode.FAILED and not logs_shown:
        screen.note("  last log lines")
        for line in lines[-LAST_LOG_LINES:]:
            screen.note(f"    | {line}")
        if is_kept:
            screen.note(f"  full log:  halley predictions logs {prediction['id']}")
    return code


def metrics_line(prediction: Json) -> str:
    """Name all metrics in one line, with three figures that count and no powers of ten."""
    metrics = prediction.get("metrics")
    if not isinstance(metrics, dict):
        return ""
    return " · ".join(
        f"{name} {_rounded(value)}" if isinstance(value, float) else f"{name} {value}"
        for name, value in metrics.items()
    )


def show_output(screen: Screen, prediction: Json, *, text_stream: bool) -> None:
    """Put the result on stdout: the whole prediction for programs, the output itself for people."""
    if screen.json_only or (screen.wants_json and not text_stream):
        screen.out_json(prediction)
        return
    output = prediction.get("output")
    if text_stream and isinstance(output, list):
        screen.out("".join(str(piece) for piece in output))
        return
    for line in output if isinstance(output, list) else [output]:
        if line is not None:
            screen.out(_shown(line))


def write_output(client: Client, screen: Screen, prediction: Json, target: Path) -> None:
    """Store the output at the path that the user named; several files get numbers, or go into the folder it names."""
    found = find_assets(prediction.get("output"))
    if target.is_dir() or (len(found) > 1 and not target.suffix):
        save_all(client, screen, prediction, target)
        return
    with told(target):
        _write_at(client, screen, prediction, target)


def _write_at(client: Client, screen: Screen, prediction: Json, target: Path) -> None:
    found = find_assets(prediction.get("output"))
    target.parent.mkdir(parents=True, exist_ok=True)
    if not found:
        write_whole(target, _as_text(prediction.get("output")).encode())
        screen.note(f"  saved {target}")
        return
    downloads = Downloads(client.http, authorization=client.authorization, timing=client.timing)
    for number, asset in enumerate(found, 1):
        path = target if len(found) == 1 else target.with_name(f"{target.stem}-{number}{target.suffix}")
        key = f"{prediction['id']}{asset.pointer}"
        try:
            stored = downloads.fetch(asset.url, path, key=key)
        except LinkGone:
            again = {
                item.pointer: item.url for item in find_assets(client.look(prediction["id"]).prediction.get("output"))
            }
            if again.get(asset.pointer, asset.url) == asset.url:
                raise
            stored = downloads.fetch(again[asset.pointer], path, key=key)
        forget(path)
        screen.note(f"  saved {path} ({human_bytes(stored.size)})")


def save_all(client: Client, screen: Screen, prediction: Json, folder: Path) -> None:
    """Store every file of the output and the record in a folder, saying each."""

    def saved(asset: Asset) -> None:
        screen.note(f"  saved {folder / asset.file} ({human_bytes(asset.size or 0)})")

    if saved_already(folder, prediction["id"]) is not None:
        screen.note(f"  all of it is in {folder} already")
        return
    with told(folder):
        record = save_prediction(
            prediction,
            folder,
            server=client.target.root,
            downloads=Downloads(client.http, authorization=client.authorization, timing=client.timing),
            refresh=lambda: client.look(prediction["id"]).prediction,
            on_saved=saved,
        )
    if not record.assets:
        screen.note(f"  the output has no files; the prediction is in {folder / 'prediction.json'}")


def write_report(text: str) -> Path:
    """Keep the trace of an unexpected error in a file of its own, and give its path."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="halley-error-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(text)
    return Path(file.name)


def check_place(path: Path | None, *, is_folder: bool) -> None:
    """See that an output can go to `path`, before anything is run for it.

    Raises:
        UsageProblem: it cannot.
    """
    if path is None:
        return
    if is_folder and path.exists() and not path.is_dir():
        raise UsageProblem(f"{path} is a file, not a folder.", hint="Name a folder.")
    folder = path if is_folder or path.is_dir() else path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise UsageProblem(f"{path} cannot be written: {folder} takes no files from you.", hint="Name another place.")


def place_for_files(prediction: Json) -> Path | None:
    """Give a free name in the working directory for an output that has files: `output.png`, else `output2.png`, ..."""
    found = find_assets(prediction.get("output"))
    if not found:
        return None
    suffix = Path(name_for(found[0].url, 0)).suffix
    here = {entry.name for entry in Path().iterdir()}
    endings = [suffix, *(f"-{n}{suffix}" for n in range(1, len(found) + 1))]  # one file, or several: see write_output
    stems = (f"output{n if n > 1 else ''}" for n in count(1))
    stem = next(stem for stem in stems if here.isdisjoint(stem + ending for ending in endings))
    return Path(f"{stem}{suffix}")


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what a file system refuses while an output is stored at `path` into words.

    Raises:
        NotSaved: the block raised an OSError.
    """
    try:
        yield
    except OSError as error:
        raise NotSaved(f"{path} cannot be written: {error.strerror or error}.", hint="Name another place.") from error


def _rounded(value: float) -> str:
    if not math.isfinite(value) or abs(value) >= 100:
        return f"{value:.0f}"
    digits = 2 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _as_text(output: Any) -> str:
    if isinstance(output, list) and output and all(isinstance(piece, str) for piece in output):
        return "".join(output)
    return output if isinstance(output, str) else json.dumps(output, indent=2, ensure_ascii=False) + "\n"


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value if not value.startswith("data:") or len(value) < 200 else f"{value[:60]}... (-o FILE saves it)"
    return json.dumps(value, ensure_ascii=False)


def _seconds_of(prediction: Json) -> float | None:
    metrics = prediction.get("metrics")
    took = metrics.get("predict_time") if isinstance(metrics, dict) else None
    if isinstance(took, int | float):
        return float(took)
    try:
        return (_instant(prediction["completed_at"]) - _instant(prediction["created_at"])).total_seconds()
    except (KeyError, TypeError, ValueError):
        return None


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
