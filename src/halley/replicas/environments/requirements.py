"""A model's requirements: read from its files, never executed."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from halley.errors import Unusable
from halley.replicas.digest import source_digest
from halley.replicas.loading import ModelSource

_INCLUDE: Final = re.compile(r"(?:-r|--requirement|-c|--constraint)[\s=]*(\S.*)")
_LOCAL: Final = re.compile(
    r"(?:-e|--editable)[\s=]+(\S.*)|(?:[\w.\-\[\],]+\s*@\s*)?file:(?://)?(/\S+)|(\.{1,2}/\S*|/\S+)"
)
_FILES: Final = (".whl", ".tar.gz", ".zip")
_COMMENT: Final = re.compile(r"(^|\s+)#.*")


class Requirements(msgspec.Struct, frozen=True, kw_only=True):
    """`text` is a requirements file for pip or uv; `identity` is the same without comments, and with the content of
    local files. Both are empty if the model has no requirements.
    """

    text: str = ""
    identity: tuple[str, ...] = ()


def read_requirements(source: ModelSource) -> Requirements:
    """Read the requirements. Blocks for a few small files.

    Raises:
        Unusable: a file cannot be read; names it, and the line that named it.
    """
    installs = source.installs
    text, identity = "", []
    if installs.requirements_file is not None:
        path = source.folder / installs.requirements_file
        identity += list(_lines_of(path, source.folder, seen=(), named_by=f"`python_requirements` of {source.name}"))
        if identity:
            text = f"-r {path}\n"
    for package in installs.packages:
        text += f"{package}\n"
        identity.append(_identified(package, source.folder))
    return Requirements(text=text, identity=tuple(identity))


def _lines_of(path: Path, folder: Path, *, seen: tuple[Path, ...], named_by: str) -> Iterator[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{path}, named by {named_by}, cannot be read: {error}.") from error
    number = 0
    for joined in re.sub(r"\\\r?\n", "\0", text).splitlines():
        line, here = " ".join(_COMMENT.sub("", joined.replace("\0", " ")).split()), number + 1
        number += 1 + joined.count("\0")
        if not line:
            continue
        included = _INCLUDE.fullmatch(line)
        if included is None or "://" in line:
            yield _identified(line, folder)
            continue
        inner = (path.parent / included[1].strip()).resolve()
        yield "-c" if line.startswith(("-c", "--c")) else "-r"
        if inner not in seen:  # pip refuses circular references
            yield from _lines_of(inner, folder, seen=(*seen, path.resolve(), inner), named_by=f"{path}, line {here}")


def _identified(line: str, folder: Path) -> str:
    """The line; a local path in it gets a digest of the content, so that a change makes another environment."""
    found = _LOCAL.match(line)
    named = next((part for part in found.groups() if part), None) if found else None
    if named is None and line.partition(";")[0].strip().endswith(_FILES) and "://" not in line:
        named = line.partition(";")[0].strip()
    if named is None or "://" in named:
        return line
    path = (folder / re.sub(r"\[[^\]]*\]$", "", named.partition(" ")[0])).resolve()
    if not path.exists():
        return line  # pip reports this error
    local = ModelSource(name=line, folder=path.parent if path.is_file() else path, ref="")
    if path.is_file():
        local = msgspec.structs.replace(local, file=path)
    return f"{line} # {source_digest(local)}"
