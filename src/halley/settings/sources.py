"""Reads values from their sources: files, the environment, flags."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from halley.settings.kinds import SettingsError
from halley.settings.names import NAMED, SECRET_NAMES, groups, leaves, misnamed, split_named, unknown

_FLAGS: Final = {"tls.cert": "tls-cert", "tls.key": "tls-key", "tls.local": "tls"}  # not named by their last word
_SHORT: Final = {
    "isolation": "isolation.mode",
    "retention": "retention.api",
}  # tables that may be given as one value, and the member that it sets
CLIENT_NAMES: Final = frozenset({"HALLEY_SERVER", "HALLEY_TOKEN", "HALLEY_PROFILE", "HALLEY_CONFIG"})


class Given(msgspec.Struct, frozen=True):
    """One value of one source, not yet checked."""

    name: str
    value: Any
    origin: str
    base: Path  # relative paths start here


# without a setting in it, such a table has no effect, and would be left out without a word
_NEVER_EMPTY: Final = {"providers": "kind = ...", "routes": "providers = [...]"}


def from_files(config: Path | None, folder: Path, user_file: Path) -> Iterable[Given]:
    """Read the user's file, the folder's `halley.toml` and the `--config` file, in this order."""
    if config is not None and not config.is_file():
        raise SettingsError(
            f"The configuration file {config} does not exist; give the path of a TOML file to --config."
        )
    seen: list[Path] = []
    for path in (user_file, folder / "halley.toml", config):
        if path is not None and path.is_file() and path.resolve() not in seen:
            seen.append(path.resolve())
            yield from _from_table("", _load_toml(path), str(path), path.resolve().parent)


def _load_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # also a number with more digits than Python reads
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"{path} cannot be read as TOML: {reason}") from error
    except RecursionError as error:
        raise SettingsError(f"{path} cannot be read as TOML: it is nested too deeply.") from error


def _from_table(prefix: str, table: Mapping[str, Any], origin: str, base: Path) -> Iterable[Given]:
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            if name in NAMED:
                yield from _from_named(name, value, origin, base)
            elif name in groups():
                yield from _from_table(f"{name}.", value, origin, base)
            else:
                raise unknown(name, origin)
        elif name.endswith("_file") and name.removesuffix("_file") in SECRET_NAMES:
            yield _secret_from_file(name.removesuffix("_file"), base / str(value), f"{origin}, {name}")
        else:
            yield Given(_SHORT.get(name, name), value, f"{origin}, {name}", base)


def _from_named(table: str, tables: Mapping[str, Any], origin: str, base: Path) -> Iterable[Given]:
    """The settings of tables with chosen names. A name may have dots; a table inside such a table is a value."""
    for chosen, fields in tables.items():
        group = f"{table}.{chosen}"
        if not isinstance(fields, dict) or split_named(group) is None:
            raise misnamed(table, chosen, origin)
        if not fields and table in _NEVER_EMPTY:
            raise SettingsError(f"[{group}] ({origin}) is empty; add {_NEVER_EMPTY[table]}, or remove it.")
        for key, value in fields.items():
            if "." in key:
                raise unknown(f"{group}.{key}", origin)
            yield Given(f"{group}.{key}", value, f"{origin}, {group}.{key}", base)


def from_environ(environ: Mapping[str, str]) -> Iterable[Given]:
    """Read `HALLEY_*`; two underscores stand for a dot, and `_FILE` names a file that contains the secret."""
    for variable in sorted(environ):
        if not variable.startswith("HALLEY_") or variable in CLIENT_NAMES:
            continue
        name = variable.removeprefix("HALLEY_").lower().replace("__", ".")
        plain = name.removesuffix("_file")
        if plain != name and name not in leaves() and plain in leaves():
            yield _secret_from_file(plain, Path(environ[variable]), variable)
        elif (table := name.split(".")[0]) in NAMED:
            raise SettingsError(
                f"{variable} cannot be used: {table} are set in halley.toml only. There, {NAMED[table].rule}."
            )
        else:
            yield Given(_SHORT.get(name, name), environ[variable], variable, Path.cwd())


def from_flags(flags: Mapping[str, Any]) -> Iterable[Given]:
    """Read dotted names; None means not given."""
    for name, value in flags.items():
        if value is not None:
            yield Given(
                name, value, f"flag --{_FLAGS.get(name) or name.rpartition('.')[2].replace('_', '-')}", Path.cwd()
            )


def _secret_from_file(name: str, path: Path, origin: str) -> Given:
    try:
        return Given(name, path.expanduser().read_text(encoding="utf-8").strip(), origin, Path.cwd())
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{origin} names the file {path}, which cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from error


def user_folder(what: Literal["data", "config"]) -> Path:
    """Return the folder where this user's programs keep data or configuration."""
    import platformdirs  # needed only if no file or flag gives the folder

    return platformdirs.user_data_path("halley") if what == "data" else platformdirs.user_config_path("halley")
