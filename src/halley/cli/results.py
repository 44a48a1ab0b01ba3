"""Reports how a prediction ended, and writes its output."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

from halley.cli.client import Client, Json
from halley.cli.downloading import Downloads
from halley.cli.failures import CommandError, ExitCode, LinkGone, NotSaved, exit_code_of_status
from halley.cli.naming import distinct, name_for
from halley.cli.outputs import Outputs
from halley.cli.placing import is_stream, note_misnamed, put_bytes, put_file
from halley.cli.saving import Asset, has_record, save_prediction, saved_already
from halley.cli.screen import Screen, human_bytes

LAST_LOG_LINES: Final = 8


def report_end(screen: Screen, prediction: Json, *, logs_shown: bool = False, is_kept: bool = True) -> ExitCode:
    """Report on stderr how it ended, with status, error and metrics; returns the exit code.

    `logs_shown`: the user has seen its logs. `is_kept`: the server still has it later.
    """
    status = str(prediction.get("status"))
    code = exit_code_of_status(status)
    figures = metrics_line(prediction)
    removed = bool(prediction.get("data_removed"))
    if code is ExitCode.SUCCEEDED:
        screen.note(f"  {screen.mark(status)}{f' · {figures}' if figures else ''}")
        if removed:
            hint = "Only its status, times and metrics are still stored."
            screen.error(f"the data of prediction {prediction['id']} was removed from the server.", hint)
        return ExitCode.NOT_FOUND if removed else code
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
    if removed:
        screen.note("  its data was removed from the server")
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
    """All metrics in one line, with three significant digits and no exponents."""
    metrics = prediction.get("metrics")
    if not isinstance(metrics, dict):
        return ""
    return " · ".join(
        f"{name} {_rounded(value)}" if isinstance(value, float) else f"{name} {value}"
        for name, value in metrics.items()
    )


def show_output(screen: Screen, prediction: Json, *, text_stream: bool) -> None:
    """Write the result to stdout: the whole prediction as JSON for programs, the output itself for people."""
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


def downloads_of(client: Client) -> Downloads:
    """Return a downloader that uses this client's authorization."""
    return Downloads(
        client.http,
        authorization=client.authorization,
        timing=client.timing,
        on_pause=client.on_pause,
    )


def write_output(
    client: Client, screen: Screen, prediction: Json, target: Path, outputs: Outputs | None = None
) -> None:
    """Store the output at the path that the user gave; several files get numbers, or go into the folder at that path.

    Raises:
        NotSaved: a part could not be stored.
    """
    outputs = outputs or Outputs(None, client.target.root)
    found = outputs.find(prediction.get("output"))
    if target.is_dir() or (len(found) > 1 and not target.suffix and not is_stream(target)):
        if has_record(target) and not has_record(target, prediction["id"]):
            _write_beside(client, screen, prediction, target, outputs)  # one folder for the outputs of several runs
        else:
            save_all(client, screen, prediction, target, outputs)
        return
    with reporting_errors(target):
        if found:
            _write_files(client, screen, prediction, target, outputs)
        else:
            put_bytes(screen, _as_text(prediction.get("output")).encode("utf-8", "surrogatepass"), target)
            if not is_stream(target):
                note_misnamed(screen, target, "text/plain")


def _write_beside(client: Client, screen: Screen, prediction: Json, folder: Path, outputs: Outputs) -> None:
    """Store the output under free names in a folder."""
    found = outputs.find(prediction.get("output"))
    names = [name_for(asset.url, number) for number, asset in enumerate(found)] or ["output.txt"]
    with reporting_errors(folder):
        paths = [folder / name for name in distinct(names, (entry.name for entry in folder.iterdir()))]
        if found:
            _write_each(client, screen, prediction, paths, outputs)
        else:
            put_bytes(screen, _as_text(prediction.get("output")).encode("utf-8", "surrogatepass"), paths[0])


def _write_files(client: Client, screen: Screen, prediction: Json, target: Path, outputs: Outputs) -> None:
    count = len(outputs.find(prediction.get("output")))
    if count == 1 or is_stream(target):
        paths = [target] * count
    else:
        paths = [target.with_name(f"{target.stem}-{number}{target.suffix}") for number in range(1, count + 1)]
    _write_each(client, screen, prediction, paths, outputs)


def _write_each(client: Client, screen: Screen, prediction: Json, paths: list[Path], outputs: Outputs) -> None:
    found = outputs.find(prediction.get("output"))
    downloads = downloads_of(client)
    lost: list[CommandError] = []
    for asset, path in zip(found, paths, strict=True):
        key = f"{prediction['id']}{asset.pointer}"
        try:
            try:
                put_file(screen, downloads, asset.url, path, key=key)
            except LinkGone:
                again = outputs.find(client.look(prediction["id"]).prediction.get("output"))
                url = {item.pointer: item.url for item in again}.get(asset.pointer, asset.url)
                if url == asset.url:
                    raise
                put_file(screen, downloads, url, path, key=key)
        except CommandError as error:  # the other files are stored nevertheless
            lost.append(error)
    if len(lost) == 1 == len(found):
        raise lost[0]
    if lost:
        raise NotSaved(f"{len(lost)} of {len(found)} files were not saved: {lost[0]}", hint=lost[0].hint)


def save_all(client: Client, screen: Screen, prediction: Json, folder: Path, outputs: Outputs | None = None) -> None:
    """Store every file of the output and the record in a folder, and report each.

    Raises:
        NotSaved: a file could not be stored, or there is no output yet.
    """

    def saved(asset: Asset) -> None:
        screen.note(f"  saved {folder / asset.file} ({human_bytes(asset.size or 0)})")
        note_misnamed(screen, folder / asset.file, asset.content_type)

    if saved_already(folder, prediction["id"]) is not None:
        screen.note(f"  everything is saved in {folder} already")
        return
    with reporting_errors(folder):
        record = save_prediction(
            prediction,
            folder,
            server=client.target.root,
            downloads=downloads_of(client),
            refresh=lambda: client.look(prediction["id"]).prediction,
            on_saved=saved,
            outputs=outputs,
        )
    if not record.assets:
        screen.note(f"  the output has no files; the prediction is in {folder / 'prediction.json'}")


def write_report(text: str) -> Path:
    """Write the traceback of an unexpected error to its own file, and return the path."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="halley-error-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(text)
    return Path(file.name)


def place_for_files(prediction: Json, outputs: Outputs | None = None) -> Path | None:
    """Return a free name in the working directory for an output with files: `output.png`, otherwise
    `output2.png`, ...
    """
    found = (outputs or Outputs()).find(prediction.get("output"))
    if not found:
        return None
    suffix = Path(name_for(found[0].url, 0)).suffix
    here = {entry.name for entry in Path().iterdir()}
    endings = [suffix, *(f"-{n}{suffix}" for n in range(1, len(found) + 1))]  # one file, or several: see write_output
    stems = (f"output{n if n > 1 else ''}" for n in count(1))
    stem = next(stem for stem in stems if here.isdisjoint(stem + ending for ending in endings))
    return Path(f"{stem}{suffix}")


@contextmanager
def reporting_errors(path: Path) -> Iterator[None]:
    """Turn an OSError while an output is stored at `path` into a message.

    Raises:
        NotSaved: the block raised an OSError.
    """
    try:
        yield
    except OSError as error:
        raise NotSaved(f"{path} cannot be written: {error.strerror or error}.", hint="Choose another place.") from error


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
