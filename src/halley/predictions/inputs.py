"""Checks whether an input fits its version, in the contract's wording (section 4): one check for create and run."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from halley.errors import InputInvalid, InvalidField
from halley.models.catalog import Runnable
from halley.models.faults import LISTED
from halley.models.validation import AnyInput, InputSchema
from halley.predictions.large import LINKS_LIMIT, Findings, LargeInputs, Link
from halley.predictions.ports import FileLinks, InputFile
from halley.strict_json import is_heavy

_log = logging.getLogger(__name__)
_SHOWN_NAMES: Final = 20
_SHOWN_CHARACTERS: Final = 100
NOTHING_FOUND: Final = Findings()


def look(
    schema: InputSchema | AnyInput,
    links: Sequence[Link],
    value: Mapping[str, Any],
    faults: tuple[InvalidField, ...],
    *,
    strict: bool,
    most: int,
) -> Findings:
    """Summarise an input: its links, and the schema's faults.

    With `strict`, names that the version does not know are faults, too; at most `most` faults are listed.
    """
    unknown = schema.unknown_names(value)
    if unknown and strict:
        faults += schema.unknown_faults(unknown, most)
    shown = schema.redacted(value)
    if len(links) > LINKS_LIMIT:
        fault = f"there are more than {LINKS_LIMIT} files"
        faults += (InvalidField(type="files", field="input", description=fault),)
    return Findings(
        faults=faults,
        unknown=tuple(name[:_SHOWN_CHARACTERS] for name in unknown[:_SHOWN_NAMES]),
        shown=None if shown is None else msgspec.json.encode(shown),
        links=tuple(links[:LINKS_LIMIT]),
    )


class InputCheck:
    """Checks inputs: by the version's schema, for unknown names, and for links that can never be used."""

    def __init__(
        self,
        *,
        file_links: FileLinks | None = None,
        strict: bool = False,
        most: int = LISTED,
        large: LargeInputs | None = None,
    ) -> None:
        """`strict` refuses members that the version does not know, instead of ignoring them (contract D21).

        At most `most` faults are listed. `large` checks large inputs in another process; without it, all are checked
        here.
        """
        self._file_links = file_links
        self._strict = strict
        self._most = most
        self._large = large

    async def look(self, runnable: Runnable, input_json: bytes, value: Mapping[str, Any] | None = None) -> Findings:
        """Check the input; for a version without a schema yet it passes, and is checked again before the run.

        `value` is the decoded input, if it was decoded already.
        """
        version = runnable.version
        if value is None and self._large is not None and is_heavy(input_json):
            document = version.openapi_schema if runnable.is_described else b""
            found = await self._large.examine(version.id, document, input_json, strict=self._strict, most=self._most)
        else:
            found = self._seen(runnable, msgspec.json.decode(input_json) if value is None else value)
        if found.links and self._file_links is not None:
            faults = await self._file_links.faults(found.links, self._most)
            if faults:
                return msgspec.structs.replace(found, faults=found.faults + faults)
        return found

    def look_at_once(self, runnable: Runnable, value: Mapping[str, Any]) -> Findings | None:
        """As `look` and `refuse`, without waiting; None if that must wait, for files among the inputs.

        Raises:
            InputInvalid: with all faults that are listed.
        """
        if not runnable.uses_files and runnable.schema.is_plain(value):
            return NOTHING_FOUND  # as `_seen`
        found = self._seen(runnable, value)
        if found.links and self._file_links is not None:
            return None
        self.refuse(runnable, found)
        return found

    def _seen(self, runnable: Runnable, value: Mapping[str, Any]) -> Findings:
        links = self._links(runnable, value) if runnable.uses_files else ()
        if not links and runnable.schema.is_plain(value):
            return NOTHING_FOUND
        return look(
            runnable.schema,
            links,
            value,
            runnable.schema.faults(value, self._most),
            strict=self._strict,
            most=self._most,
        )

    def refuse(self, runnable: Runnable, found: Findings) -> None:
        """Refuse an input that has faults.

        Raises:
            InputInvalid: with all faults that are listed.
        """
        if found.faults:
            raise InputInvalid(found.faults)
        if found.unknown:
            names = ", ".join(found.unknown)[:300]
            _log.info("%s has no inputs %s: ignored", runnable.version.model, names)

    async def own_files(self, account_id: str, found: Findings) -> tuple[InputFile, ...]:
        """Files of this server among the inputs, to be kept until the prediction has ended.

        Raises:
            InputInvalid, TooLarge: a `data:` URL among them cannot be used.
        """
        if not found.links or self._file_links is None:
            return ()
        return await self._file_links.own_files(found.links, account_id)

    def _links(self, runnable: Runnable, value: Mapping[str, Any]) -> Sequence[Link]:
        if self._file_links is None:
            return ()
        version = runnable.version
        return self._file_links.links(version.id, version.openapi_schema, value)
