"""Runs a prediction again, with the same input or with changes, as a new prediction that is linked to it."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, Protocol

import msgspec

from halley.errors import InputInvalid, InvalidField, VersionUnknown, WrongState
from halley.models.catalog import Catalog
from halley.models.validation import REDACTED
from halley.predictions.ports import Created, NewPrediction
from halley.predictions.records import Prediction
from halley.predictions.repeats import IdempotencyKey
from halley.predictions.reruns import Relation, RerunStore
from halley.predictions.search import SearchStore
from halley.predictions.service import CreateRequest, Predictions

Changes = Mapping[str, msgspec.Raw]
"""Inputs by name, as JSON; `null` leaves one out."""

StoreRerun = Callable[[NewPrediction, str], Awaitable[Created]]
"""Stores a rerun of the prediction with this id; see `RerunStore.rerun`."""

_HIDDEN: Final = msgspec.json.encode(REDACTED)
_NULL: Final = b"null"
_decode: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class LinkStore(RerunStore, SearchStore, Protocol):
    """Reruns, and the tags of predictions."""


class Reruns:
    """The use cases. Every method checks the account; predictions of other accounts are absent."""

    def __init__(self, *, predictions: Predictions, store: LinkStore, catalog: Catalog) -> None:
        self._predictions = predictions
        self._store = store
        self._catalog = catalog

    async def rerun(
        self,
        prediction_id: str,
        account_id: str,
        key_id: str | None,
        *,
        changes: Changes | None = None,
        link_base: str | None = None,
        idempotency: IdempotencyKey | None = None,
        priority: int | None = None,
        store_as: StoreRerun | None = None,
    ) -> Created:
        """Create a prediction of the same version with the same input, webhook, time limit and tags; durable then.

        `changes` replaces inputs; secrets are not kept, so they must be among the changes. `priority` replaces that of
        the earlier prediction. `store_as` stores it in another way than `RerunStore.rerun`.

        Raises as `Predictions.create` does, and:
            NotFound: absent, or of another account.
            WrongState: its input was removed.
            InputInvalid: also for each secret that must be given again.
            VersionUnknown: its version cannot run here any more.
        """
        row = await self._predictions.row(prediction_id, account_id)
        if row.data_removed_at is not None:
            raise WrongState(
                f"Prediction {row.id} cannot be run again: its input was removed from this server. Create a new one."
            )
        await self._check_version(row)
        request = CreateRequest(
            reference=row.version,
            input=None,  # decoded where it is checked, if it is not too large for that
            input_json=changed_input(row.input, changes or {}),
            webhook=row.webhook,
            webhook_events_filter=row.webhook_events_filter,
            link_base=link_base,
            cancel_after_seconds=_cancel_after(row),
            source=row.source,
            deployment=row.deployment,
            priority=row.priority if priority is None else priority,
        )
        return await self._predictions.create(
            request,
            account_id,
            key_id,
            idempotency=idempotency,
            store_as=partial(self._store_new, store_as or self._store.rerun, row.id),
        )

    async def _store_new(self, store_rerun: StoreRerun, of: str, new: NewPrediction) -> Created:
        tags = (await self._store.tags_of([of])).get(of, ())
        return await store_rerun(msgspec.structs.replace(new, tags=tags), of)

    async def related(self, prediction_id: str, account_id: str) -> list[Relation]:
        """What the prediction is linked to; see `RerunStore.related`.

        Raises:
            NotFound: absent, or of another account.
        """
        await self._predictions.row(prediction_id, account_id)
        return await self._store.related(prediction_id, account_id)

    async def _check_version(self, row: Prediction) -> None:
        try:
            await self._catalog.find(row.version)
        except VersionUnknown as error:
            rest = (
                f"The model {row.model} has another version now: create a new prediction with that."
                if self._catalog.knows(row.model)
                else f"This server does not run the model {row.model} now."
            )
            raise VersionUnknown(
                f"Prediction {row.id} cannot be run again: its version {row.version[:12]} cannot run here any more."
                f" {rest}"
            ) from error


def changed_input(stored: bytes, changes: Changes) -> bytes:
    """The stored input with changes, as JSON. Values that are not changed are not decoded.

    Raises:
        InputInvalid: secrets that the stored input does not have any more are not among the changes; names each.
    """
    has_hidden = _HIDDEN in stored
    if not changes and not has_hidden:
        return stored
    members = _decode(stored)
    members.update(changes)
    members = {name: value for name, value in members.items() if name not in changes or bytes(value) != _NULL}
    if has_hidden:
        hidden = [name for name, value in members.items() if name not in changes and _HIDDEN in bytes(value)]
        if hidden:
            raise InputInvalid(tuple(_given_again(name) for name in hidden))
    return msgspec.json.encode(members)


def _given_again(name: str) -> InvalidField:
    return InvalidField(
        type="required",
        field=f"input.{name[:100]}",
        description="was a secret, which this server does not keep: give it again",
    )


def _cancel_after(row: Prediction) -> float | None:
    return None if row.deadline_at is None else max(1.0, (row.deadline_at - row.created_at).total_seconds())
