"""Finds earlier versions of a model that differ from the present source only by files that the model itself wrote.

Before replicas had their own places, models wrote into their folders, and each such file made another version at the
next start. A file does not show who wrote it. But if all files of an earlier version are still there unchanged,
everything newer was added after it.
"""

import os
from collections.abc import Sequence
from typing import Final

from halley.models.records import Version
from halley.replicas.digest import BIG_BYTES, DigestCache, HashedFile, hashed_files, joint_digest
from halley.replicas.loading import ModelSource

MOST_WRITTEN: Final = 256  # files that may have been written by the model, the newest first
_CODE: Final = frozenset({".py", ".pyx", ".so", ".yaml", ".yml", ".toml", ".cfg", ".ini"})


def earlier_versions(
    source: ModelSource, current: Version, stored: Sequence[Version], cache: DigestCache
) -> list[Version]:
    """Those of `stored` that `source`, now version `current`, may run. Blocks: it reads the folder if it must compare.

    Raises:
        Unusable: a file cannot be read.
    """
    doubtful = [version for version in stored if version.counts_written and version.id != current.id]
    if not doubtful:
        return []
    files = hashed_files(source, cache)
    since = _first_with_these_files(files, doubtful)
    if since is not None:
        return [version for version in doubtful if version.created_at >= since.created_at]
    changed_at = _code_changed_at(files)
    return [
        version
        for version in doubtful
        if version.created_at.timestamp() >= changed_at and version.openapi_schema == current.openapi_schema
    ]


def _first_with_these_files(files: Sequence[HashedFile], doubtful: Sequence[Version]) -> Version | None:
    """The oldest version that had today's files without some of the newest."""
    by_digest = {version.source_digest: version for version in sorted(doubtful, key=_age, reverse=True)}
    newest_last = sorted(files, key=lambda file: file.changed_at)
    found: Version | None = None
    for left_out in range(min(len(files), MOST_WRITTEN)):
        kept = newest_last[: len(newest_last) - left_out]
        version = by_digest.get(joint_digest(kept))
        if version is not None and (found is None or version.created_at < found.created_at):
            found = version
    return found


def _code_changed_at(files: Sequence[HashedFile]) -> float:
    """When a file last changed that a model does not write: code, and files as large as weights."""
    code = [file for file in files if os.path.splitext(file.relative)[1] in _CODE or file.size > BIG_BYTES]  # noqa: PTH122 - a name, not a path
    return max((file.changed_at for file in code), default=0.0)


def _age(version: Version) -> float:
    return version.created_at.timestamp()
