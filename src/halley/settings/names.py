"""The dotted names of all settings: lists them, and suggests the right name for a wrong one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from halley.settings.kinds import SettingsError, SettingsTable
from halley.settings.providers import PROVIDER_KINDS, ProviderSettings
from halley.settings.shapes import CollectionSettings, ModelSettings, Settings
from halley.settings.upstreams import LOCAL, RouteSettings, is_pattern, is_provider_name

SECRET_NAMES: Final = frozenset({"admin_key"})
MASK: Final = "********"
_RELOADED: Final = frozenset({"providers", "routes"})


class NamedTables(msgspec.Struct, frozen=True):
    """A group of tables with names that the operator chooses: `[models."owner/name"]`.

    `rule` says what a name must be like, `fits` checks it. With `kinds`, the member `kind` of a table says which of
    them it is; `kind` has what they share.
    """

    kind: type[SettingsTable]
    rule: str
    fits: Callable[[str], bool]
    kinds: Mapping[str, type[SettingsTable]] = {}


NAMED: Final[Mapping[str, NamedTables]] = {
    "models": NamedTables(
        ModelSettings, 'a model is named by owner and name, as in [models."acme/upscaler"]', lambda n: n.count("/") == 1
    ),
    "collections": NamedTables(
        CollectionSettings, "a collection is named by one word, as in [collections.images]", lambda n: "." not in n
    ),
    "providers": NamedTables(
        ProviderSettings,
        f"a provider has a name of lower-case letters, digits, - and _, as in [providers.comet]; {LOCAL} is reserved",
        is_provider_name,
        PROVIDER_KINDS,
    ),
    "routes": NamedTables(
        RouteSettings,
        'a route is named by a model, or by a pattern with *, as in [routes."acme/upscaler"] or [routes."acme/*"]',
        is_pattern,
    ),
}


def shown(settings: Settings) -> list[tuple[str, str, str]]:
    """List every setting as (dotted name, value in TOML, origin), with secrets masked."""
    return [(name, _shown_value(name, value), settings.origins.get(name, "default")) for name, value in _walk(settings)]


def reloaded(settings: Settings, read: Settings) -> Settings:
    """The settings of a running server after it has read them again: only providers and routes change."""
    origins = {name: origin for name, origin in settings.origins.items() if name.partition(".")[0] not in _RELOADED}
    origins |= {name: origin for name, origin in read.origins.items() if name.partition(".")[0] in _RELOADED}
    return msgspec.structs.replace(settings, providers=read.providers, routes=read.routes, origins=origins)


def unknown(name: str, origin: str, kind: type[SettingsTable] | None = None) -> SettingsError:
    """Make the error for a name that is not a setting, with the most similar name. `kind` is that of its table."""
    from difflib import get_close_matches  # needed for errors only

    origin = origin.removesuffix(f", {name}")
    table, _, rest = name.partition(".")
    if table in NAMED and rest and split_named(name.rpartition(".")[0]) is None:
        return misnamed(table, rest, origin)
    if name in groups():
        return SettingsError(f"{name} ({origin}) is a table: write [{name}], and its settings in the lines below it.")
    group, _, key = name.rpartition(".")
    is_variable = origin.startswith("HALLEY_")
    known = [*leaves()] if is_variable else [*leaves(), *groups(), *NAMED]  # no variable gives a table
    if (named := split_named(group)) is not None:
        kinds = NAMED[named[0]].kinds
        fields = named_fields(named[0]) if kind is None else fields_of(kind)
        known = [f"{group}.{field}" for field in fields]
        if owners := [repr(word) for word, other in kinds.items() if key in fields_of(other)]:
            return SettingsError(
                f"{name} ({origin}) is a setting of the kind {' and '.join(owners)}, which {group} is not. It has:"
                f" {', '.join(fields)}."
            )
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = " `halley config show` lists all settings."
    if close:
        meant = f"HALLEY_{close[0].upper().replace('.', '__')}" if is_variable else close[0]
        hint = f" Did you mean {meant}?"
    return SettingsError(f"There is no setting {name} ({origin}).{hint}")


def misnamed(table: str, name: str, origin: str) -> SettingsError:
    """Make the error for a table with a name that it cannot have."""
    return SettingsError(f"There is no {table[:-1]} {name} ({origin}): {NAMED[table].rule}.")


def split_named(group: str) -> tuple[str, str] | None:
    """The table and the chosen name of a group such as `models.owner/name`; None if it is none."""
    table, dot, name = group.partition(".")
    return (table, name) if dot and table in NAMED and NAMED[table].fits(name) else None


@cache
def named_fields(table: str) -> dict[str, Any]:
    """The settings that all of one of `NAMED` may have, with their types."""
    return fields_of(NAMED[table].kind)


@cache
def fields_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The settings of a table, with their types."""
    return {field.name: field.type for field in msgspec.structs.fields(kind)}


@cache
def groups() -> dict[str, type[SettingsTable]]:
    """The tables, without those of `NAMED`."""
    return {
        name: kind
        for name, kind in fields_of(Settings).items()
        if isinstance(kind, type) and issubclass(kind, SettingsTable)
    }


@cache
def leaves() -> dict[str, Any]:
    """All settings with their types, without those of `NAMED`."""
    top = {n: k for n, k in fields_of(Settings).items() if n not in groups() and n not in NAMED and n != "origins"}
    return top | {f"{group}.{name}": kind for group, part in groups().items() for name, kind in fields_of(part).items()}


def _walk(settings: Settings) -> Iterable[tuple[str, Any]]:
    for name in leaves():
        group, _, key = name.rpartition(".")
        yield name, getattr(getattr(settings, group) if group else settings, key)
    for table in NAMED:
        for chosen, value in getattr(settings, table).items():
            for key in value.__struct_fields__:
                yield f"{table}.{chosen}.{key}", getattr(value, key)


def _shown_value(name: str, value: Any) -> str:
    if value is None:
        return "none"
    if name in SECRET_NAMES:
        return MASK
    return str(value) if isinstance(value, Path) else msgspec.json.encode(value, enc_hook=str).decode()  # folders
