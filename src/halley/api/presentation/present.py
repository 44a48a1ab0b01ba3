"""Converts records to wire values. Source: contract section 7."""

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from halley.api.http.asgi import Variant
from halley.api.http.capabilities import page_token
from halley.api.presentation.references import readable
from halley.api.presentation.statuses import OFFICIAL
from halley.api.presentation.usual import UsualPredictions
from halley.api.presentation.wire.accounts import (
    AccountBody,
    CurrentKey,
    KeyBody,
    KeyOptionsBody,
    KeyUsageBody,
    NewKey,
)
from halley.api.presentation.wire.files import Checksums, FileBody, FileUrls
from halley.api.presentation.wire.models import ModelBody, VersionBody
from halley.api.presentation.wire.predictions import PredictionBody, Urls
from halley.api.presentation.withheld import withheld
from halley.assets.links import LinkSigner
from halley.assets.ports import Blobs, StoredFile
from halley.clock import Clock, rfc3339
from halley.errors import NotFound
from halley.keys.records import Account, Key
from halley.models.catalog import Catalog
from halley.models.records import Model, Version
from halley.predictions.key_usage import KeyUsage
from halley.predictions.ports import ExpiryPolicy
from halley.predictions.records import OutputFile, OutputItem, Prediction
from halley.predictions.status import Status
from halley.settings import Settings
from halley.strict_json import is_heavy

encode: Final = msgspec.json.Encoder().encode
_REF: Final = re.compile(rb'(?<!\\)"(asset:[0-9a-z]{26}/\d{1,9}/[^"\\]*)"(?!:)')
_NULL: Final = Raw(b"null")
_EMPTY: Final = Raw(b"{}")
_NO_LINKS: Final[Mapping[str, str]] = {}


def with_links_in_text(output: bytes, links: Mapping[str, str]) -> bytes:
    """The JSON text with each string that is a ref replaced: for a text that is too large to be decoded.

    A quote after a backslash does not begin a string, and a string before a colon is a name.
    """

    def linked(found: re.Match[bytes]) -> bytes:
        link = links.get(found[1].decode())
        return found[0] if link is None else encode(link)

    return _REF.sub(linked, output)


class Presenter:
    """Makes wire values. It changes nothing, and reads only blobs for `data:` URLs."""

    def __init__(
        self,
        *,
        settings: Settings,
        catalog: Catalog,
        blobs: Blobs,
        links: LinkSigner,
        data_ends: ExpiryPolicy,
        clock: Clock,
        why_starting: Callable[[Prediction], str | None],
    ) -> None:
        self._limits = settings.limits
        self._data_ends = data_ends
        self._catalog = catalog
        self._blobs = blobs
        self._links = links
        self._clock = clock
        self._why_starting = why_starting
        self._file_versions: dict[str, bool] = {}
        self._usual = UsualPredictions(links=links, gives_files=self.gives_files)

    # predictions ------------------------------------------------------------------------------------------------

    def prediction(
        self,
        row: Prediction,
        variant: Variant,
        *,
        with_logs: bool = True,
        instead: Mapping[str, str] = _NO_LINKS,
    ) -> PredictionBody:
        """The prediction in the form for this caller. `instead` maps refs of some files to `data:` URLs."""
        removed = row.data_removed_at is not None
        shown = PredictionBody(
            id=row.id,
            model=row.model,
            version=row.version,
            input=_EMPTY if removed else Raw(row.input),
            output=_NULL if removed or row.output is None else self._output(row, variant, instead),
            data_removed=removed,
            error=row.error,
            source=row.source._value_,  # `value` is a property written in Python
            status=row.status._value_,
            created_at=rfc3339(row.created_at),
            urls=self._urls(row, variant),
        )
        if with_logs:
            shown.logs = "" if removed else row.logs
        self._fill_times(shown, row, variant)
        _fill_given(shown, row)
        if (why := self.starting_reason(row)) is not None:
            shown.starting_reason = why
        if not variant.expose_aborted and (official := OFFICIAL[row.status]) is not row.status:
            shown.status, shown.error = official.value, None
        if variant.own_key is not None:
            return withheld(shown, is_own=row.key_id == variant.own_key)
        return shown

    def json(self, row: Prediction, variant: Variant, *, with_logs: bool = True) -> bytes:
        """The encoded prediction, with links to all files."""
        if row.status is not Status.STARTING or self.starting_reason(row) is None:
            usual = self._usual.encoded(row, variant, with_logs=with_logs)
            if usual is not None:
                return usual
        return encode(self.prediction(row, variant, with_logs=with_logs))

    def starting_reason(self, row: Prediction) -> str | None:
        """Why it has not started, as far as that is known."""
        return self._why_starting(row) if row.status is Status.STARTING else None

    def encoded_at_once(self, row: Prediction, variant: Variant) -> bytes | None:
        """The same as `encoded`, without waiting; None if it may have to read files."""
        return None if variant.data_urls and row.files else self.json(row, variant)

    async def encoded(self, row: Prediction, variant: Variant) -> bytes:
        """The encoded prediction for an answer about it alone: files as `data:` URLs if this caller needs them so."""
        if variant.data_urls and row.created_with_wait and row.files and row.data_removed_at is None:
            return encode(self.prediction(row, variant, instead=await self._data_urls(row.files)))
        return self.json(row, variant)

    def file_link(self, row: Prediction, file: OutputFile, variant: Variant) -> str:
        """A fresh delivery link to one file of an output."""
        path = self._links.delivery_path(row.id, file.index, file.name, data_ends_at=self.data_ends_at(row))
        return variant.origin + path

    def file_links(self, row: Prediction, files: Iterable[OutputFile], variant: Variant) -> dict[str, str]:
        """Fresh delivery links, by the refs that they stand for."""
        return {file.ref: self.file_link(row, file, variant) for file in files}

    def item(self, row: Prediction, item: OutputItem, variant: Variant) -> Any:
        """One output item, with links to its files."""
        text = bytes(item.value)
        if is_heavy(text):
            return Raw(with_links_in_text(text, self.file_links(row, item.files, variant)) if item.files else text)
        value = msgspec.json.decode(text)
        return self.with_links(value, self.file_links(row, item.files, variant)) if item.files else value

    def with_links(self, value: Any, links: Mapping[str, str]) -> Any:
        """The value with each string that is a ref replaced. `links` has only this prediction's own refs."""
        if isinstance(value, str):
            return links.get(value, value)
        if isinstance(value, list):
            return [self.with_links(item, links) for item in value]
        if isinstance(value, dict):
            return {name: self.with_links(item, links) for name, item in value.items()}
        return value

    def data_ends_at(self, row: Prediction) -> datetime | None:
        """When the data of this prediction is removed; None if it was, or that is not known, or never happens."""
        return None if row.data_removed_at is not None else self._data_ends.ends_at(row)

    def links_end_at(self, row: Prediction) -> int:
        """When links that are made now expire, in Unix seconds: answers with the same links share it."""
        return self._links.expiry(self._clock.now(), self.data_ends_at(row))

    def gives_files(self, version_id: str) -> bool:
        """Whether this version's output is files (its stream then has another URL, contract 12.1)."""
        known = self._file_versions.get(version_id)
        if known is None:
            runnable = self._catalog.by_id(version_id)
            if runnable is None or not runnable.is_described:
                return False  # withdrawn, or not known yet; both URLs lead to its stream
            known = self._file_versions[version_id] = _is_file_schema(runnable.version.openapi_schema)
        return known

    def _output(self, row: Prediction, variant: Variant, instead: Mapping[str, str]) -> Raw:
        output = row.output or b"null"
        if not row.files:
            return Raw(output)
        links = {file.ref: instead.get(file.ref) or self.file_link(row, file, variant) for file in row.files}
        if is_heavy(output):
            return Raw(with_links_in_text(output, links))
        return Raw(encode(self.with_links(msgspec.json.decode(output), links)))

    def _urls(self, row: Prediction, variant: Variant) -> Urls:
        get = f"{variant.base}/predictions/{row.id}"
        files = self.gives_files(row.version)
        # a client recognises file streams by a path that begins /v1/files/: these never get the family prefix
        root = variant.origin if files else variant.origin + variant.family
        return Urls(
            get=get,
            cancel=f"{get}/cancel",
            web=f"{variant.origin}/p/{row.id}?t={page_token(self._links, row.id)}",
            stream=root + self._links.stream_path(row.id, files=files),
        )

    def _fill_times(self, shown: PredictionBody, row: Prediction, variant: Variant) -> None:
        # left out until known; the other family lists them as null from the start (contract D14b)
        unknown = None if variant.family else UNSET
        shown.started_at = unknown if row.started_at is None else rfc3339(row.started_at)
        shown.completed_at = unknown if row.completed_at is None else rfc3339(row.completed_at)
        # from its start, even if empty: typed clients require an object
        if row.metrics or row.status is not Status.STARTING or variant.family:
            shown.metrics = dict(row.metrics)

    async def _data_urls(self, files: tuple[OutputFile, ...]) -> dict[str, str]:
        urls: dict[str, str] = {}
        left = self._limits.data_url_answer_bytes
        for file in files:
            if file.size_bytes > self._limits.data_url_bytes:
                continue
            head = f"data:{file.content_type.partition(';')[0]};base64,"
            size = len(head) + -(-file.size_bytes // 3) * 4
            if size > left:
                continue
            try:
                async with aclosing(self._blobs.open(file.sha256)) as chunks:
                    data = b"".join([chunk async for chunk in chunks])
            except NotFound:
                continue  # just removed: its link answers so
            left -= size
            urls[file.ref] = head + base64.b64encode(data).decode()
        return urls

    # everything else --------------------------------------------------------------------------------------------

    def model(self, model: Model, latest: Version | None, variant: Variant) -> ModelBody:
        """A model and its newest version."""
        standing = self._catalog.standing(model.full_name)
        return ModelBody(
            url=f"{variant.base}/models/{model.owner}/{model.name}",
            owner=model.owner,
            name=model.name,
            description=model.description or "",  # typed clients require text
            visibility=model.visibility,
            is_official=model.is_official,
            github_url=model.github_url,
            paper_url=model.paper_url,
            license_url=model.license_url,
            run_count=model.run_count,
            cover_image_url=model.cover_image_url,
            default_example=_NULL,
            latest_version=None if latest is None else version(latest),
            state=standing.state,
            reason=standing.reason and standing.reason.splitlines()[0],
        )

    def file(self, file: StoredFile, download_query: str, variant: Variant) -> FileBody:
        """An uploaded file; `download_query` is what makes its download link valid."""
        url = f"{variant.base}/files/{file.id}"
        return FileBody(
            id=file.id,
            name=file.name,
            content_type=file.content_type,
            size=file.size_bytes,
            etag=file.sha256,
            checksums=Checksums(sha256=file.sha256),
            metadata=dict(file.metadata),
            created_at=rfc3339(file.created_at),
            expires_at=rfc3339(file.expires_at),
            urls=FileUrls(get=url, download=f"{url}/download?{download_query}"),
        )


def version(found: Version) -> VersionBody:
    """A version, with its schema unchanged where clients can read it."""
    return VersionBody(
        id=found.id,
        created_at=rfc3339(found.created_at),
        cog_version=found.cog_version,
        openapi_schema=Raw(readable(found.openapi_schema)),
    )


def account(found: Account) -> AccountBody:
    """The account of the key."""
    return AccountBody(type=found.type, username=found.username, name=found.name or found.username)


def key(found: Key, owner: Account) -> KeyBody:
    """A key without its secret."""
    return KeyBody(**_key_members(found, owner))


def new_key(found: Key, owner_username: str, token: str) -> NewKey:
    """A key just made, with its secret this once."""
    return NewKey(**_key_members(found, None) | {"username": owner_username}, token=token)


def current_key(found: Key, owner: Account, usage: KeyUsage) -> CurrentKey:
    """The caller's own key."""
    shown = KeyUsageBody(
        predictions=sum(usage.by_status.values()),
        by_status={status.value: usage.by_status[status] for status in Status if status in usage.by_status},
        run_seconds=round(usage.run_seconds, 3),
        oldest_created_at=None if usage.oldest_created_at is None else rfc3339(usage.oldest_created_at),
        newest_created_at=None if usage.newest_created_at is None else rfc3339(usage.newest_created_at),
        is_more=usage.is_more,
    )
    return CurrentKey(**_key_members(found, owner), usage=shown)


def _key_members(found: Key, owner: Account | None) -> dict[str, Any]:
    return {
        "id": found.id,
        "username": owner.username if owner else "",
        "name": found.name,
        "hint": found.hint,
        "scopes": sorted(found.scopes),
        "options": msgspec.convert(msgspec.to_builtins(found.options), KeyOptionsBody),
        "created_at": rfc3339(found.created_at),
        "revoked_at": None if found.revoked_at is None else rfc3339(found.revoked_at),
    }


def _fill_given(shown: PredictionBody, row: Prediction) -> None:
    """Add members that exist only if the caller, the deadline or a repeat set them."""
    if row.webhook is not None:
        shown.webhook = row.webhook
    if row.webhook_events_filter is not None:
        shown.webhook_events_filter = list(row.webhook_events_filter)
    if row.deployment is not None:
        shown.deployment = row.deployment
    if row.deadline_at is not None:
        shown.deadline = rfc3339(row.deadline_at)
    if row.termination_reason is not None:
        shown.termination_reason = row.termination_reason
    if row.repeated_creates:
        shown.repeated_creates = row.repeated_creates


def _is_file_schema(document: bytes) -> bool:
    """Whether `Output` is a file, or a list of files."""
    try:
        output = msgspec.json.decode(document)["components"]["schemas"]["Output"]
    except (KeyError, TypeError, msgspec.DecodeError):
        return False
    if isinstance(output, dict) and output.get("type") == "array":
        output = output.get("items")
    return isinstance(output, dict) and output.get("type") == "string" and output.get("format") == "uri"
