"""Models, keys and references in dictionaries."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec

from halley.assets.ports import Owner, Reference
from halley.errors import Conflict, NotFound
from halley.keys.ports import MOST_SIGN_INS
from halley.keys.records import Account, Key, Scope, SignIn
from halley.models.ports import ModelAge, age_of
from halley.models.records import Model, Version
from halley.predictions.ports import InputFile
from halley.store.memory.entries import at_once
from halley.store.memory.tables import MemoryPart, MemoryTables


class MemoryModels(MemoryPart):
    """Implements `models.ports.ModelStore`."""

    def __init__(self, tables: MemoryTables) -> None:
        super().__init__(tables)
        self.models = tables.models
        self.versions = tables.versions

    @at_once
    def put_model(self, model: Model) -> None:
        old = self.models.get(model.full_name)
        if old is not None:
            model = msgspec.structs.replace(
                model,
                run_count=old.run_count,
                created_at=old.created_at,
                latest_version_id=model.latest_version_id or old.latest_version_id,
                latest_version_at=model.latest_version_at or old.latest_version_at,
            )
        self.models[model.full_name] = model

    @at_once
    def put_version(self, version: Version) -> Version:
        model = self.models.get(version.model)
        if model is None:
            raise NotFound(f"The model {version.model} must be stored before its version.")
        old = self.versions.get(version.id)
        if old is not None:
            version = msgspec.structs.replace(version, created_at=old.created_at)
        self.versions[version.id] = version
        self.models[version.model] = msgspec.structs.replace(
            model, latest_version_id=version.id, latest_version_at=version.created_at
        )
        return version

    async def get_model(self, owner: str, name: str) -> Model | None:
        return self.models.get(f"{owner}/{name}")

    async def list_models(self) -> list[Model]:
        by_name = sorted(self.models.values(), key=lambda model: (model.owner, model.name))
        return sorted(by_name, key=lambda model: model.latest_version_at or model.created_at, reverse=True)

    async def model_ages(self, *, of_creation: bool) -> list[ModelAge]:
        return sorted([age_of(model, of_creation=of_creation) for model in self.models.values()], reverse=True)

    async def get_version(self, version_id: str) -> Version | None:
        return self.versions.get(version_id)

    async def version_ids(self, model: str) -> list[str]:
        return [version.id for version in await self.list_versions(model)]

    async def list_versions(self, model: str) -> list[Version]:
        found = [version for version in self.versions.values() if version.model == model]
        return sorted(found, key=lambda version: (version.created_at, version.id), reverse=True)

    def count_run(self, model: str) -> None:
        """One more run of `owner/name`."""
        if (known := self.models.get(model)) is not None:
            self.models[model] = msgspec.structs.replace(known, run_count=known.run_count + 1)


class MemoryKeys(MemoryPart):
    """Implements `keys.ports.KeyStore`."""

    def __init__(self, tables: MemoryTables) -> None:
        super().__init__(tables)
        self.accounts = tables.accounts
        self.keys = tables.keys
        self.configured = tables.configured

    @at_once
    def put_account(self, account: Account) -> Account:
        for known in self.accounts.values():
            if known.username == account.username:
                return known
        if account.id in self.accounts:
            raise Conflict(f"The account id {account.id} is taken.")
        self.accounts[account.id] = account
        return account

    async def get_account(self, account_id: str) -> Account | None:
        return self.accounts.get(account_id)

    async def find_account(self, username: str) -> Account | None:
        return next((account for account in self.accounts.values() if account.username == username), None)

    @at_once
    def put_key(self, key: Key) -> None:
        if key.account_id not in self.accounts:
            raise Conflict(f"The key {key.id} belongs to account {key.account_id}, which does not exist.")
        if key.id in self.keys or any(key.digest == known.digest for known in self.keys.values()):
            raise Conflict(f"The key {key.id} exists already.")
        self.keys[key.id] = key

    async def find_key(self, digest: bytes) -> Key | None:
        return next((key for key in self.keys.values() if key.digest == digest), None)

    async def get_key(self, key_id: str) -> Key | None:
        return self.keys.get(key_id)

    async def list_keys(self, account_id: str | None = None) -> list[Key]:
        found = [key for key in self.keys.values() if account_id is None or key.account_id == account_id]
        return sorted(found, key=lambda key: (key.created_at, key.id), reverse=True)

    async def page_keys(self, before: str | None, limit: int) -> list[Key]:
        found = [key for key in self.keys.values() if before is None or key.id < before]
        return sorted(found, key=lambda key: key.id, reverse=True)[:limit]

    async def valid_scopes(self, key_ids: Collection[str]) -> dict[str, frozenset[Scope]]:
        found = [key for key_id in key_ids if (key := self.keys.get(key_id)) is not None]
        return {key.id: key.scopes for key in found if key.revoked_at is None and key.account_id in self.accounts}

    @at_once
    def revoke_key(self, key_id: str, at: datetime) -> Key | None:
        key = self.keys.get(key_id)
        if key is not None and key.revoked_at is None:
            key = self.keys[key_id] = msgspec.structs.replace(key, revoked_at=at)
        return key

    @at_once
    def set_configured(self, key_id: str, at: datetime) -> list[Key]:
        replaced = self.configured - {key_id}
        self.configured.clear()
        self.configured.add(key_id)
        self.keys[key_id] = msgspec.structs.replace(self.keys[key_id], revoked_at=None)
        revoked = [self.keys[other] for other in sorted(replaced) if self.keys[other].revoked_at is None]
        for key in revoked:
            self.keys[key.id] = msgspec.structs.replace(key, revoked_at=at)
        return [self.keys[key.id] for key in revoked]

    @at_once
    def change_options(self, key_id: str, changes: Mapping[str, object]) -> Key | None:
        key = self.keys.get(key_id)
        if key is not None:
            key = self.keys[key_id] = msgspec.structs.replace(key, options=key.options.changed(changes))
        return key


class MemorySignIns(MemoryPart):
    """Implements `keys.ports.SignInStore`."""

    @at_once
    def put_sign_in(self, sign_in: SignIn) -> None:
        kept = self.tables.sign_ins
        for digest in [known.digest for known in kept.values() if known.ends_at <= sign_in.created_at]:
            del kept[digest]
        of_key = [known for known in kept.values() if known.key_id == sign_in.key_id]
        of_key.sort(key=lambda known: (known.created_at, known.digest), reverse=True)
        for known in of_key[MOST_SIGN_INS - 1 :]:
            del kept[known.digest]
        kept[sign_in.digest] = sign_in

    async def find_sign_in(self, digest: bytes) -> SignIn | None:
        return self.tables.sign_ins.get(digest)

    @at_once
    def extend_sign_in(self, digest: bytes, ends_at: datetime) -> None:
        known = self.tables.sign_ins.get(digest)
        if known is not None:
            self.tables.sign_ins[digest] = msgspec.structs.replace(known, ends_at=ends_at)

    @at_once
    def end_sign_in(self, digest: bytes) -> None:
        self.tables.sign_ins.pop(digest, None)

    @at_once
    def end_sign_ins_of(self, key_id: str) -> int:
        ended = [known.digest for known in self.tables.sign_ins.values() if known.key_id == key_id]
        for digest in ended:
            del self.tables.sign_ins[digest]
        return len(ended)


class MemoryLedger(MemoryPart):
    """Implements `assets.ports.BlobLedger`."""

    def __init__(self, tables: MemoryTables) -> None:
        super().__init__(tables)
        self.blobs = tables.blobs
        self.owned = tables.owned

    async def add_reference(self, sha256: str, size_bytes: int, owner_kind: str, owner_id: str, name: str) -> None:
        self.blobs.setdefault(sha256, size_bytes)
        self.owned.add((owner_kind, owner_id, sha256, name))

    async def drop_references(self, owner_kind: str, owner_id: str) -> list[str]:
        return self.drop(owner_kind, owner_id)

    def drop(self, owner_kind: str, owner_id: str) -> list[str]:
        """Remove all references of an owner; returns those contents that are not needed any more."""
        dropped = {item for item in self.owned if item[:2] == (owner_kind, owner_id)}
        self.owned -= dropped
        needed = {item[2] for item in self.owned}
        return sorted({item[2] for item in dropped} - needed)

    def hold(self, prediction_id: str, files: Sequence[InputFile]) -> None:
        """Record that a prediction needs these bytes until it ends, if another owner needs them now."""
        needed = {item[2] for item in self.owned}
        self.owned |= {("input", prediction_id, file.sha256, file.name) for file in files if file.sha256 in needed}

    async def is_referenced(self, sha256: str) -> bool:
        return any(item[2] == sha256 for item in self.owned)

    async def owners(self, sha256: str) -> set[Owner]:
        return {item[:2] for item in self.owned if item[2] == sha256}

    async def references(self, owner_kind: str, owner_id: str) -> list[Reference]:
        own = [item for item in sorted(self.owned) if item[:2] == (owner_kind, owner_id)]
        return [Reference(sha256=item[2], name=item[3]) for item in own]

    async def needs(self, sha256: str, owner_kind: str) -> list[Reference]:
        found = [item for item in sorted(self.owned) if (item[0], item[2]) == (owner_kind, sha256)]
        return [Reference(sha256=item[2], name=item[3]) for item in found]

    async def unreferenced(self, limit: int, after: str = "") -> list[str]:
        return [name for name in sorted(self.blobs) if name > after and not await self.is_referenced(name)][:limit]

    async def known(self, digests: Sequence[str]) -> set[str]:
        return self.blobs.keys() & set(digests)

    async def forget_blob(self, sha256: str) -> None:
        if not await self.is_referenced(sha256):
            self.blobs.pop(sha256, None)
