"""Combines all sources: later ones win, each value is checked, and then all values together."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, get_args

import msgspec

from halley.settings.kinds import Period, SettingsError, SettingsTable
from halley.settings.named_kinds import kinds_of_tables
from halley.settings.names import MASK, NAMED, SECRET_NAMES, fields_of, groups, leaves, split_named, unknown
from halley.settings.shapes import Settings
from halley.settings.sources import Given, from_environ, from_files, from_flags, user_folder
from halley.settings.units import parse_bytes, parse_seconds, read_period
from halley.settings.upstreams import check_upstreams
from halley.settings.wording import why_not

_ORIGIN: Final = re.compile(r"https?://[^\s/?#@\\]+/?", re.IGNORECASE)
_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
_PUBLIC: Final = re.compile(r"https?://[^\s/?#@\\]+(?:/+[A-Za-z0-9._~-]+)*/*", re.IGNORECASE)


def read_settings(
    environ: Mapping[str, str],
    *,
    config: Path | None,
    flags: Mapping[str, Any],
    folder: Path | None = None,
    user_file: Path | None = None,
) -> Settings:
    """Read every source once and return the settings.

    `flags` maps dotted names (`server.port`) to values; None means not given. `folder` is searched for `halley.toml`
    (the working directory); `user_file` is the user's own file.

    Raises:
        SettingsError: an unknown name, an invalid value, or an unreadable file.
    """
    found: dict[str, Given] = {}
    for source in (
        from_files(config, folder or Path.cwd(), user_file or user_folder("config") / "halley.toml"),
        from_environ(environ),
        from_flags(flags),
    ):
        found.update({given.name: given for given in source})
    return _build(found)


def _build(found: Mapping[str, Given]) -> Settings:
    top: dict[str, Any] = {}
    plain: dict[str, dict[str, Any]] = {}
    named: dict[str, dict[str, dict[str, Any]]] = {table: {} for table in NAMED}
    kinds = kinds_of_tables(found)
    faults: list[str] = []  # of single settings: a person mends all of them at once
    for given in found.values():
        group, _, key = given.name.rpartition(".")
        chosen, kind = split_named(group), kinds.get(group)
        table = top if not group else plain.setdefault(group, {})
        if chosen is not None:
            table = named[chosen[0]].setdefault(chosen[1], {})
        try:
            table[key] = _checked(given, kind, key)
        except SettingsError as error:
            faults.append(str(error))
    if faults:
        raise SettingsError("\n".join(faults))
    # one form for each folder: commands recognise a server by it
    top["data"] = (top.get("data") or user_folder("data")).resolve()
    parts: dict[str, Any] = {name: groups()[name](**fields) for name, fields in plain.items() if name in groups()}
    for table_name, tables in named.items():
        parts[table_name] = {
            name: _named(kinds[f"{table_name}.{name}"], f"{table_name}.{name}", fields, found)
            for name, fields in tables.items()
        }
    settings = Settings(**top, **parts, origins={name: given.origin for name, given in found.items()})
    _check_together(settings)
    return settings


_WANTED: Final = {
    "path": 'path = "folder/of/the/model"',
    "url": 'url = "https://..."',
    "file": 'file = "job.toml"',
    "providers": "providers = [...]",
}


def _named(kind: type[SettingsTable], group: str, fields: dict[str, Any], found: Mapping[str, Given]) -> SettingsTable:
    origin = next((given.origin for given in found.values() if given.name.startswith(f"{group}.")), "halley.toml")
    missing = [field.name for field in msgspec.structs.fields(kind) if field.required and field.name not in fields]
    if missing:
        raise SettingsError(f"[{group}] ({origin}) has no {missing[0]}; add {_WANTED[missing[0]]}.")
    table, _, name = group.partition(".")
    if table == "collections" and not _SLUG.fullmatch(name):
        raise SettingsError(f"[{group}] ({origin}): a collection's name has lower-case letters, digits and hyphens.")
    return kind(**fields)


def _check_together(settings: Settings) -> None:
    if settings.admin_key is not None and len(settings.admin_key) < 32:
        origin = settings.origins["admin_key"]
        raise SettingsError(
            f"admin_key ({origin}) is too short; it needs 32 or more characters. `openssl rand -hex 24` makes one."
        )
    _check_server(settings)
    _check_tls(settings)
    check_upstreams(settings.providers, settings.routes, settings.origins)
    runs = settings.runs
    if runs.heartbeat_seconds * 2 > runs.lease_seconds:
        raise SettingsError(
            f"runs.lease_seconds ({runs.lease_seconds:g}) must be at least twice"
            f" runs.heartbeat_seconds ({runs.heartbeat_seconds:g})."
        )


def _check_server(settings: Settings) -> None:
    server = settings.server
    if server.public_url is not None and not _PUBLIC.fullmatch(server.public_url):
        raise SettingsError(
            f"server.public_url ({settings.origins['server.public_url']}): {server.public_url!r} is not"
            " a scheme and a host, with or without a plain path, as in https://example.com/halley."
        )
    for text in server.cors_origins:
        if text != "*" and not _ORIGIN.fullmatch(text):
            raise SettingsError(
                f"server.cors_origins ({settings.origins['server.cors_origins']}): {text!r} is not an origin:"
                " a scheme and a host without a path, as in https://halley.example.com."
            )
    for text in server.trusted_proxies:
        # imported late: most servers trust no proxy, and every command reads the settings
        from ipaddress import ip_network

        try:
            ip_network(text, strict=False)
        except ValueError as error:
            raise SettingsError(
                f"server.trusted_proxies ({settings.origins['server.trusted_proxies']}): {error};"
                " give addresses or networks, as in 10.0.0.0/8."
            ) from error


def _check_tls(settings: Settings) -> None:
    tls, origins = settings.tls, settings.origins
    if tls.key is not None and tls.cert is None:
        raise SettingsError(f"tls.key ({origins['tls.key']}) has no certificate; name it with tls.cert.")
    if tls.local and tls.cert is not None:
        raise SettingsError(
            f"tls.local ({origins['tls.local']}) and tls.cert ({origins['tls.cert']}) exclude each other:"
            " Halley makes a certificate, or uses yours."
        )


def _checked(given: Given, table: type[SettingsTable] | None, key: str) -> Any:
    field = leaves().get(given.name) if table is None else fields_of(table).get(key)
    if field is None:
        raise unknown(given.name, given.origin, table)
    return _value(given, field)


def _value(given: Given, kind: Any) -> Any:
    raw = given.value
    try:
        if kind in {Period, Period | None}:
            return read_period(raw)
        if isinstance(raw, str) and type(None) in get_args(kind) and raw.lower() in {"none", "never"}:
            return None
        if kind is Path or kind == Path | None:
            return (given.base / Path(raw).expanduser()).absolute()
        if kind == tuple[Path, ...]:
            items = _from_text(given.name, raw, kind) if isinstance(raw, str) else raw
            return tuple((given.base / Path(item).expanduser()).absolute() for item in items)
        if isinstance(raw, str):
            raw = _from_text(given.name, raw, kind)
        value = msgspec.convert(raw, kind, strict=not isinstance(given.value, str))
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("expected a finite number")
    except (TypeError, ValueError, msgspec.ValidationError) as error:
        origin = given.origin.removesuffix(f", {given.name}")
        masked = MASK if given.name in SECRET_NAMES else repr(given.value)
        raise SettingsError(f"{given.name} = {masked} ({origin}) is not valid: {why_not(error, kind)}.") from error
    return value


def _from_text(name: str, text: str, kind: Any) -> Any:
    if name.endswith("_seconds"):
        return parse_seconds(text)
    if name.endswith("_bytes"):
        return parse_bytes(text)
    if tuple in (kind, getattr(kind, "__origin__", None)):
        return [item.strip() for item in text.split(",") if item.strip()]
    return text
