"""A model or version as named on the command line."""

from __future__ import annotations

import re

import msgspec

from halley.cli.failures import UsageProblem


class ModelRef(msgspec.Struct, frozen=True, kw_only=True):
    """The model or version to run: `owner/name`, `owner/name:version`, or a version id alone."""

    owner: str | None = None
    name: str | None = None
    version: str | None = None

    @property
    def model(self) -> str | None:
        return f"{self.owner}/{self.name}" if self.owner else None


def parse_model_ref(text: str) -> ModelRef:
    """Read `owner/name`, `owner/name:version`, or a version id (64 hex, or any single word such as `dp-0a1b`).

    Raises:
        UsageProblem: it is none of these.
    """
    match = re.fullmatch(r"([^/:\s]+)/([^/:\s]+)(?::([^/:\s]+))?", text)
    if match:
        return ModelRef(owner=match[1], name=match[2], version=match[3])
    if re.fullmatch(r"[0-9a-f]{64}|dp-[0-9a-f]+", text):
        return ModelRef(version=text)
    raise UsageProblem(
        f"{text!r} is not a model.", hint="Write owner/name, owner/name:version, or a folder: ./my-model."
    )
