"""Saves a prediction: every file of its output in a folder, and `prediction.json` that describes them.

After an interruption it continues; if everything is saved, it does nothing.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from halley.cli.client import Json
from halley.cli.downloading import Downloads, Stored, forget, matches, write_whole
from halley.cli.failures import CommandError, LinkGone, NotSaved, UsageProblem
from halley.cli.naming import distinct, name_for, suffix_for
from halley.cli.outputs import Outputs, OutputUrl, lacks_output

RECORD_NAME: Final = "prediction.json"
Find = Callable[[Any], list[OutputUrl]]


class Asset(msgspec.Struct, kw_only=True):
    """One file of the output; without size and hash it is not stored yet."""

    pointer: str
    url: str
    file: str
    size: int | None = None
    sha256: str | None = None
    content_type: str | None = None
    error: str | None = None


class Record(msgspec.Struct, kw_only=True):
    """The content of `prediction.json`."""

    server: str
    prediction: Json
    assets: list[Asset]


def saved_already(folder: Path, id: str) -> Record | None:
    """Return the record of this prediction if the folder contains all of it, with each file checked by size and hash.

    A record without output, or made after the server had removed the data, is not complete.
    """
    record = _load(folder, id)
    if record is None or not all(_is_there(folder, asset) for asset in record.assets):
        return None
    if lacks_output(record.prediction) or record.prediction.get("data_removed"):
        return None
    return record


def has_record(folder: Path, id: str | None = None) -> bool:
    """Whether the folder contains a saved prediction; with `id`, that one."""
    if not (folder / RECORD_NAME).is_file():
        return False
    try:
        return id is None or _load(folder, id) is not None
    except UsageProblem:
        return False


def save_prediction(
    prediction: Json,
    folder: Path,
    *,
    server: str,
    downloads: Downloads,
    refresh: Callable[[], Json],
    on_saved: Callable[[Asset], None],
    outputs: Outputs | None = None,
) -> Record:
    """Store every file of a terminal prediction's output in `folder`, and the record beside them.

    If a link has expired, the prediction is read once more by `refresh`, because servers renew links. A file that
    cannot be fetched does not stop the others. `outputs` distinguishes files from text.

    Raises:
        UsageProblem: the folder belongs to another prediction, or another command uses it.
        NotSaved: a file could not be stored; the record says which and why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _alone_in(folder):
        find = (outputs or Outputs(None, server)).find
        record = _plan(prediction, folder, server, find)
        _store(folder, record)
        for asset in record.assets:
            if not _is_there(folder, asset):
                _keep(asset, record.prediction, folder, downloads, refresh, find)
                _store(folder, record)
                if asset.error is None:
                    on_saved(asset)
            if asset.error is None:
                forget(folder / asset.file)
    missing = [asset for asset in record.assets if asset.error]
    if missing:
        raise NotSaved(
            f"{len(missing)} of {len(record.assets)} files were not saved: {missing[0].error}",
            hint=f"Run the command again; {folder / RECORD_NAME} names them.",
        )
    return record


def _plan(prediction: Json, folder: Path, server: str, find: Find) -> Record:
    earlier = _load(folder, prediction["id"])
    if earlier is not None and prediction.get("data_removed") and not earlier.prediction.get("data_removed"):
        return earlier  # the server has removed data that the record still has
    found = find(prediction.get("output"))
    known = {asset.pointer: asset for asset in earlier.assets} if earlier else {}
    mine = {asset.file for asset in known.values()}
    strangers = [
        entry.name for entry in folder.iterdir() if entry.name not in mine and not _is_note_of(entry.name, mine)
    ]
    new = [item for item in found if item.pointer not in known]
    places = {item.pointer: n for n, item in enumerate(found)}
    names = distinct((name_for(item.url, places[item.pointer]) for item in new), [*strangers, *mine])
    fresh = {
        item.pointer: Asset(pointer=item.pointer, url=_short(item.url), file=name)
        for item, name in zip(new, names, strict=True)
    }
    assets = [known.get(item.pointer) or fresh[item.pointer] for item in found]
    for asset, item in zip(assets, found, strict=True):
        asset.url = _short(item.url)
        asset.error = None
    return Record(server=server, prediction=prediction, assets=assets)


def _keep(
    asset: Asset, prediction: Json, folder: Path, downloads: Downloads, refresh: Callable[[], Json], find: Find
) -> None:
    asset.error = None
    key = f"{prediction['id']}{asset.pointer}"
    try:
        url = _current_url(asset, prediction, find)
        try:
            stored = downloads.fetch(url, folder / asset.file, key=key)
        except LinkGone:
            renewed = _current_url(asset, refresh(), find)
            if renewed == url:
                raise
            stored = downloads.fetch(renewed, folder / asset.file, key=key)
            asset.url = _short(renewed)
        _note(asset, folder, stored)
    except CommandError as error:  # of this file, or of the read that was to renew its link: the others continue
        asset.error = str(error)


def _current_url(asset: Asset, prediction: Json, find: Find) -> str:
    found = {item.pointer: item.url for item in find(prediction.get("output"))}
    if asset.pointer not in found:
        raise NotSaved(f"{asset.file} cannot be saved: the server has removed the output.")
    return found[asset.pointer]


def _note(asset: Asset, folder: Path, stored: Stored) -> None:
    path = folder / asset.file
    suffix = suffix_for(stored.content_type) if not path.suffix else ""
    if suffix:
        name = distinct([f"{asset.file}{suffix}"], (entry.name for entry in folder.iterdir()))[0]
        forget(path)
        path.rename(folder / name)
        asset.file = name
    asset.size, asset.sha256, asset.content_type = stored.size, stored.sha256, stored.content_type


def _is_there(folder: Path, asset: Asset) -> bool:
    if asset.size is None or asset.sha256 is None or asset.error:
        return False
    return matches(folder / asset.file, asset.size, asset.sha256)


def _load(folder: Path, id: str) -> Record | None:
    path = folder / RECORD_NAME
    try:
        record = msgspec.json.decode(path.read_bytes(), type=Record)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageProblem(
            f"{path} exists, but is not a record of saved files: {error}.", hint="Save to another folder."
        ) from error
    if record.prediction.get("id") != id:
        other = record.prediction.get("id")
        raise UsageProblem(f"{folder} already holds prediction {other}.", hint="Save this one to another folder.")
    if any(Path(asset.file).name != asset.file for asset in record.assets):
        raise UsageProblem(f"{path} refers to files outside its folder.", hint="Save to another folder.")
    return record


def _store(folder: Path, record: Record) -> None:
    write_whole(folder / RECORD_NAME, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise UsageProblem(f"Another command is saving to {folder}.", hint="Wait for it to end.") from error
    finally:
        os.close(descriptor)


def _is_note_of(name: str, files: set[str]) -> bool:
    return name.removesuffix(".part").removesuffix(".meta") in files or name.startswith(RECORD_NAME)


def _short(url: str) -> str:
    # the bytes of a data: URL are in the file; the record keeps its beginning
    return f"{url.partition(',')[0]}," if url.startswith("data:") else url
