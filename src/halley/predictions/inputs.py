"""Whether an input fits its version, in the words of the contract (section 4): one check for create and run."""

import logging
from collections.abc import Mapping
from typing import Any

from halley.errors import InputInvalid
from halley.models.catalog import Runnable
from halley.predictions.ports import FileLinks, InputFile

_log = logging.getLogger(__name__)


class InputCheck:
    """The version's schema, the names that it does not know, and links that can never be used."""

    def __init__(self, *, file_links: FileLinks | None = None, strict: bool = False) -> None:
        """`strict` refuses inputs that the version does not know, instead of ignoring them (contract D21)."""
        self._file_links = file_links
        self._strict = strict

    def check(self, runnable: Runnable, value: Mapping[str, Any]) -> None:
        """Look at the input; one of a version that is not described yet passes, to be looked at again later.

        Raises:
            InputInvalid: with all faults.
        """
        faults = runnable.schema.faults(value)
        unknown = runnable.schema.unknown_names(value)
        if unknown and self._strict:
            faults += runnable.schema.unknown_faults(unknown)
        if runnable.uses_files and self._file_links is not None:
            version = runnable.version
            faults += self._file_links.faults(version.id, version.openapi_schema, value)
        if faults:
            raise InputInvalid(faults)
        if unknown:
            _log.info("%s does not know the inputs %s: ignored", runnable.version.model, ", ".join(unknown)[:300])

    async def own_files(self, runnable: Runnable, account_id: str, value: Mapping[str, Any]) -> tuple[InputFile, ...]:
        """Files of this server among the inputs, to be held until the prediction is over.

        Raises:
            InputInvalid, TooLarge: a `data:` URL among them cannot be used.
        """
        if not runnable.uses_files or self._file_links is None:
            return ()
        version = runnable.version
        return await self._file_links.own_files(
            version=version.id, openapi_schema=version.openapi_schema, account_id=account_id, value=value
        )
