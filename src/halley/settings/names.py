"""The dotted names of all settings: lists them, and suggests the right name for a wrong one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from halley.settings.shapes import CollectionSettings, ModelSettings, Settings, SettingsError, SettingsTable

SECRET_NAMES: Final = frozenset({"admin_key"})
MASK: Final = "********"


def shown(settings: Settings) -> list[tuple[str, str, str]]:
    """List every setting as (dotted name, value in TOML, origin), with secrets masked."""
    return [(name, _shown_value(name, value), settings.origins.get(name, "default")) for name, value in _walk(settings)]


def unknown(name: str, origin: str) -> SettingsError:
    """Make the error for a name that is not a setting, with the most similar name."""
    from difflib import get_close_matches  # needed for errors only

    if name.startswith("models.") and name.count("/") != 1:
        text = f"There is no model {name.removeprefix('models.')} ({origin}): a model is named by owner and name,"
        return SettingsError(f'{text} as in [models."acme/upscaler"].')
    if name in groups():
        return SettingsError(f"{name} ({origin}) is a table: write [{name}], and its settings in the lines below it.")
    group = name.rpartition(".")[0]
    known = [*leaves(), *groups(), "models", "collections"]
    if is_model(group) or is_collection(group):
        known = [f"{group}.{key}" for key in (model_fields() if is_model(group) else collection_fields())]
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]}?" if close else " `halley config show` lists all settings."
    return SettingsError(f"There is no setting {name} ({origin}).{hint}")


def is_collection(group: str) -> bool:
    """Whether the group is `collections.slug`."""
    return group.startswith("collections.") and group.count(".") == 1


@cache
def collection_fields() -> dict[str, Any]:
    """The settings of one collection, with their types."""
    return _fields(CollectionSettings)


def is_model(group: str) -> bool:
    """Whether the group is `models.owner/name`."""
    return group.startswith("models.") and group.count("/") == 1


def _fields(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {field.name: field.type for field in msgspec.structs.fields(kind)}


@cache
def groups() -> dict[str, type[SettingsTable]]:
    """The tables, without those of models."""
    return {
        name: kind
        for name, kind in _fields(Settings).items()
        if isinstance(kind, type) and issubclass(kind, SettingsTable)
    }


@cache
def model_fields() -> dict[str, Any]:
    """The settings of one model, with their types."""
    return _fields(ModelSettings)


@cache
def leaves() -> dict[str, Any]:
    """All settings with their types, without those of models and collections."""
    top = {
        n: k
        for n, k in _fields(Settings).items()
        if n not in groups() and n not in {"models", "collections", "origins"}
    }
    return top | {f"{group}.{name}": kind for group, part in groups().items() for name, kind in _fields(part).items()}


def _walk(settings: Settings) -> Iterable[tuple[str, Any]]:
    for name in leaves():
        group, _, key = name.rpartition(".")
        yield name, getattr(getattr(settings, group) if group else settings, key)
    for model, value in settings.models.items():
        for key in model_fields():
            yield f"models.{model}.{key}", getattr(value, key)
    for slug, collection in settings.collections.items():
        for key in collection_fields():
            yield f"collections.{slug}.{key}", getattr(collection, key)


def _shown_value(name: str, value: Any) -> str:
    if value is None:
        return "none"
    if name in SECRET_NAMES:
        return MASK
    return str(value) if isinstance(value, Path) else msgspec.json.encode(value).decode()
