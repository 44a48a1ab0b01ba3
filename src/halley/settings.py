"""Every setting of a Halley server: one frozen value, read once, each part knowing where it came from.

Nobody else reads the environment. Order: flag > `HALLEY_*` > `--config` file > `./halley.toml` > the user's file >
default. A name's last word is its unit: `_seconds` takes `30`, `"30s"`, `"1h30m"`; `_bytes` takes `1024`, `"256MB"`,
`"32MiB"`.
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

import msgspec

DEFAULT_PORT: Final = 1986
CLIENT_NAMES: Final = frozenset({"HALLEY_SERVER", "HALLEY_TOKEN", "HALLEY_PROFILE", "HALLEY_CONFIG"})
SECRET_NAMES: Final = frozenset({"admin_key"})
MASK: Final = "********"
DAY_SECONDS: Final = 86_400.0
MIB: Final = 2**20
_ORIGIN: Final = re.compile(r"https?://[^\s/?#@\\]+/?", re.IGNORECASE)

Positive = Annotated[int, msgspec.Meta(gt=0)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
SomeSeconds = Annotated[float, msgspec.Meta(ge=0)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


class SettingsError(Exception):
    """A setting is unknown or has an unfit value; the message names it, its origin and what would be right."""

    code = "settings"


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of settings; each is a table of `halley.toml`."""


class Server(Part, frozen=True, kw_only=True):
    """Where Halley listens, and what it believes about the way to it."""

    host: str = "127.0.0.1"
    port: Port = DEFAULT_PORT  # 0 takes any free one
    public_url: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()  # empty: no CORS headers at all
    access_log: bool = True


class Model(Part, frozen=True, kw_only=True):
    """One local model; None means the general setting of `runs`."""

    path: Path
    preload: bool = False
    concurrency: Positive | None = None
    run_timeout_seconds: Seconds | None = None
    memory_limit_bytes: Positive | None = None
    replicas: Positive | None = None  # None: what x-halley in its cog.yaml says, else 1
    pinned: bool | None = None  # never unloaded; None: what x-halley says, else no
    gpu_memory_bytes: Positive | None = None  # None: what x-halley says, else a whole device if it needs one
    env: Literal["own", "current"] | None = None
    visibility: Literal["public", "private"] = "private"


class Limits(Part, frozen=True, kw_only=True):
    """The limits table. Source: design section 7."""

    json_body_bytes: Positive = 32 * MIB
    json_depth: Positive = 64
    upload_bytes: Positive = 100 * MIB
    file_name_bytes: Positive = 255
    inline_data_bytes: Positive = 16 * MIB
    webhook_url_bytes: Positive = 2048
    queued_per_account: Positive = 10_000
    queued_total: Positive = 100_000
    wait_create_max_seconds: SomeSeconds = 55.0  # never near 60: one client posts again at 60 (contract 0.10)
    wait_get_max_seconds: SomeSeconds = 60.0
    header_bytes: Positive = 32 * 1024
    header_seconds: Seconds = 10.0
    body_seconds: Seconds = 30.0  # without progress
    idle_seconds: Seconds = 75.0
    link_seconds: Annotated[float, msgspec.Meta(gt=0, le=7 * DAY_SECONDS)] = DAY_SECONDS
    log_bytes: Positive = 16 * MIB
    output_events: Positive = 100_000
    output_bytes: Positive = 64 * MIB
    webhook_connect_seconds: Seconds = 5.0
    webhook_total_seconds: Seconds = 10.0
    file_life_seconds: Seconds = DAY_SECONDS
    data_url_bytes: Positive = 256_000  # one output file shown as a data: URL
    data_url_answer_bytes: Positive = 2_000_000  # all of them in one answer


class Runs(Part, frozen=True, kw_only=True):
    """How long a prediction may take, and how its ownership is kept. Source: design section 4."""

    run_timeout_seconds: Seconds = 1800.0
    max_queue_seconds: Seconds = DAY_SECONDS
    cancel_grace_seconds: SomeSeconds = 5.0
    setup_timeout_seconds: Seconds = 600.0
    health_check_seconds: Seconds = 5.0
    health_timeout_seconds: Seconds = 10.0
    lease_seconds: Seconds = 20.0
    heartbeat_seconds: Seconds = 5.0
    max_attempts: Positive = 2


class Memory(Part, frozen=True, kw_only=True):
    """Memory of all replicas together; None sets no budget."""

    budget_bytes: Positive | None = None
    idle_unload_seconds: Seconds | None = None
    turn_seconds: Seconds = 10.0


class Environments(Part, frozen=True, kw_only=True):
    """The Python environments that models ask for. Source: design section 11."""

    env: Literal["own", "current"] = "own"  # current: the server's interpreter runs every model
    tool: Literal["auto", "uv", "pip"] = "auto"  # auto: uv where there is one
    strict_python: bool = False
    folder: Path | None = None  # None: `envs` in the data folder
    build_timeout_seconds: Seconds = 1800.0
    max_bytes: Positive | None = 50 * 2**30


class Egress(Part, frozen=True, kw_only=True):
    """The only door out: which private addresses are open, and how far a request may go."""

    allow: tuple[str, ...] = ()  # "10.0.0.5:8080", "10.1.0.0/16:443", "[::1]:80"
    http: bool = True  # plain http: URLs, too
    timeout_seconds: Seconds = 60.0
    max_bytes: Positive = 1024 * MIB
    max_redirects: Annotated[int, msgspec.Meta(ge=0)] = 3


class Retention(Part, frozen=True, kw_only=True):
    """How long finished predictions keep their data; None keeps them for ever."""

    api_seconds: Seconds | None = 30 * DAY_SECONDS
    web_seconds: Seconds | None = None


class Quirks(Part, frozen=True, kw_only=True):
    """Switches for what is done to meet particular clients. Source: contract section 17, D3, D21, D34."""

    expose_aborted: bool = False
    data_urls: bool = True
    strict_inputs: bool = False


class Settings(Part, frozen=True, kw_only=True):
    """All of them. `origins` tells for each dotted name that was set where its value came from."""

    data: Path
    server: Server = Server()
    demo: bool = True
    models: dict[str, Model] = {}
    limits: Limits = Limits()
    runs: Runs = Runs()
    memory: Memory = Memory()
    environments: Environments = Environments()
    egress: Egress = Egress()
    retention: Retention = Retention()
    quirks: Quirks = Quirks()
    admin_key: str | None = None
    origins: dict[str, str] = {}

    def __repr__(self) -> str:
        # The derived one would put the admin key into any log or traceback that shows the settings.
        return f"Settings(data={self.data!s})"


def process_environ() -> Mapping[str, str]:
    """Give this process's environment; the one place that touches it."""
    return os.environ


def read_settings(
    environ: Mapping[str, str],
    *,
    config: Path | None,
    flags: Mapping[str, Any],
    folder: Path | None = None,
    user_file: Path | None = None,
) -> Settings:
    """Read every source once and give the one value.

    `flags` maps dotted names (`server.port`) to values; None means not given. `folder` is where `halley.toml` is
    looked for (the working directory); `user_file` is the user's own file.

    Raises:
        SettingsError: an unknown name, an unfit value, an unreadable file.
    """
    found: dict[str, _Given] = {}
    for source in (
        _from_files(config, folder or Path.cwd(), user_file or _user_folder("config") / "halley.toml"),
        _from_environ(environ),
        _from_flags(flags),
    ):
        found.update({given.name: given for given in source})
    return _build(found)


def shown(settings: Settings) -> list[tuple[str, str, str]]:
    """List every setting as (dotted name, value as TOML would have it, origin), secrets masked."""
    return [(name, _shown_value(name, value), settings.origins.get(name, "default")) for name, value in _walk(settings)]


def parse_seconds(text: str) -> float:
    """Read `30`, `0.5s`, `5m`, `1h30m`, `30d`.

    Raises:
        ValueError: it is none of these.
    """
    return _parse_units(text, _SECONDS, "a duration such as 30s, 5m, 1h30m or 7d")


def parse_bytes(text: str) -> int:
    """Read `1024`, `256MB` (10^6), `32MiB` (2^20).

    Raises:
        ValueError: it is none of these.
    """
    return int(_parse_units(text.lower(), _BYTES, "a size such as 1024, 256MB or 32MiB"))


_SECONDS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY_SECONDS, "w": 7 * DAY_SECONDS}
_BYTES: Final = {"": 1.0, "b": 1.0} | {
    f"{letter}{middle}b": float(base ** (power + 1))
    for middle, base in (("", 1000), ("i", 1024))
    for power, letter in enumerate("kmgt")
}


def _parse_units(text: str, units: Mapping[str, float], wanted: str) -> float:
    pieces = re.findall(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text)
    whole = re.fullmatch(r"(\s*\d+(\.\d+)?\s*[A-Za-z]*)+\s*", text) is not None
    if not whole or any(unit not in units for _, unit in pieces):
        raise ValueError(f"expected {wanted}")
    return sum(float(number) * units[unit] for number, unit in pieces)


class _Given(msgspec.Struct, frozen=True):
    """One value of one source, not yet looked at."""

    name: str
    value: Any
    origin: str
    base: Path  # relative paths start here


def _from_files(config: Path | None, folder: Path, user_file: Path) -> Iterable[_Given]:
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
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} cannot be read as TOML: {error}") from error


def _from_table(prefix: str, table: Mapping[str, Any], origin: str, base: Path) -> Iterable[_Given]:
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            if name != "models" and name not in _groups() and not _is_model(name):
                raise _unknown(name, origin)
            yield from _from_table(f"{name}.", value, origin, base)
        elif name.endswith("_file") and name.removesuffix("_file") in SECRET_NAMES:
            yield _secret_from_file(name.removesuffix("_file"), base / str(value), f"{origin}, {name}")
        else:
            yield _Given(name, value, f"{origin}, {name}", base)


def _from_environ(environ: Mapping[str, str]) -> Iterable[_Given]:
    for variable in sorted(environ):
        if not variable.startswith("HALLEY_") or variable in CLIENT_NAMES:
            continue
        name = variable.removeprefix("HALLEY_").lower().replace("__", ".")
        plain = name.removesuffix("_file")
        if plain != name and name not in _leaves() and plain in _leaves():
            yield _secret_from_file(plain, Path(environ[variable]), variable)
        elif name.split(".")[0] == "models":
            raise SettingsError(f'{variable} is not possible: models are set in halley.toml, as [models."owner/name"].')
        else:
            yield _Given(name, environ[variable], variable, Path.cwd())


def _from_flags(flags: Mapping[str, Any]) -> Iterable[_Given]:
    for name, value in flags.items():
        if value is not None:
            yield _Given(name, value, f"flag --{name.rpartition('.')[2].replace('_', '-')}", Path.cwd())


def _secret_from_file(name: str, path: Path, origin: str) -> _Given:
    try:
        return _Given(name, path.expanduser().read_text(encoding="utf-8").strip(), origin, Path.cwd())
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{origin} names the file {path}, which cannot be read: {error}") from error


def _build(found: Mapping[str, _Given]) -> Settings:
    groups: dict[str, dict[str, Any]] = {"": {}}
    for given in found.values():
        group, _, key = given.name.rpartition(".")
        field = _model_fields().get(key) if _is_model(group) else _leaves().get(given.name)
        if field is None:
            raise _unknown(given.name, given.origin)
        groups.setdefault(group, {})[key] = _value(given, field)
    top = groups.pop("")
    models = {
        name.removeprefix("models."): _model(name, fields, found) for name, fields in groups.items() if _is_model(name)
    }
    parts: dict[str, Any] = {name: _groups()[name](**fields) for name, fields in groups.items() if not _is_model(name)}
    top.setdefault("data", _user_folder("data"))
    settings = Settings(**top, **parts, models=models, origins={name: given.origin for name, given in found.items()})
    _check_together(settings)
    return settings


def _model(name: str, fields: dict[str, Any], found: Mapping[str, _Given]) -> Model:
    if "path" not in fields:
        origin = next(given.origin for given in found.values() if given.name.startswith(f"{name}."))
        raise SettingsError(f'[{name}] ({origin}) has no path; add path = "folder/of/the/model".')
    return Model(**fields)


def _check_together(settings: Settings) -> None:
    if settings.admin_key is not None and len(settings.admin_key) < 32:
        origin = settings.origins["admin_key"]
        raise SettingsError(
            f"admin_key ({origin}) is too short; it needs 32 or more characters. `openssl rand -hex 24` makes one."
        )
    _check_server(settings)
    runs = settings.runs
    if runs.heartbeat_seconds * 2 > runs.lease_seconds:
        raise SettingsError(
            f"runs.lease_seconds ({runs.lease_seconds:g}) must be at least twice"
            f" runs.heartbeat_seconds ({runs.heartbeat_seconds:g})."
        )


def _check_server(settings: Settings) -> None:
    server = settings.server
    origins = [("public_url", server.public_url), *(("cors_origins", one) for one in server.cors_origins if one != "*")]
    for name, text in origins:
        if text is not None and not _ORIGIN.fullmatch(text):
            raise SettingsError(
                f"server.{name} ({settings.origins[f'server.{name}']}): {text!r} is not an origin:"
                " a scheme and a host without a path, as in https://halley.example.com."
            )
    for text in server.trusted_proxies:
        from ipaddress import ip_network  # most servers trust no proxy, and every command reads the settings

        try:
            ip_network(text, strict=False)
        except ValueError as error:
            raise SettingsError(
                f"server.trusted_proxies ({settings.origins['server.trusted_proxies']}): {error};"
                " give addresses or networks, as in 10.0.0.0/8."
            ) from error


def _value(given: _Given, kind: Any) -> Any:
    raw = given.value
    try:
        if isinstance(raw, str) and type(None) in get_args(kind) and raw.lower() in {"none", "never"}:
            return None
        if kind is Path or kind == Path | None:
            return (given.base / Path(raw).expanduser()).absolute()
        if isinstance(raw, str):
            raw = _from_text(given.name, raw, kind)
        value = msgspec.convert(raw, kind, strict=not isinstance(given.value, str))
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("expected a finite number")
    except (TypeError, ValueError, msgspec.ValidationError) as error:
        masked = MASK if given.name in SECRET_NAMES else repr(given.value)
        raise SettingsError(f"{given.name} = {masked} ({given.origin}) is not valid: {error}.") from error
    return value


def _from_text(name: str, text: str, kind: Any) -> Any:
    if name.endswith("_seconds"):
        return parse_seconds(text)
    if name.endswith("_bytes"):
        return parse_bytes(text)
    if tuple in (kind, getattr(kind, "__origin__", None)):
        return [item.strip() for item in text.split(",") if item.strip()]
    return text


def _unknown(name: str, origin: str) -> SettingsError:
    from difflib import get_close_matches  # needed for a refusal only

    if name.startswith("models.") and name.count("/") != 1:
        text = f"There is no model {name.removeprefix('models.')} ({origin}): a model is named by owner and name,"
        return SettingsError(f'{text} as in [models."acme/upscaler"].')
    if name in _groups():
        return SettingsError(f"{name} ({origin}) is a table: write [{name}], and its settings below.")
    group = name.rpartition(".")[0]
    known = [f"{group}.{key}" for key in _model_fields()] if _is_model(group) else [*_leaves(), *_groups(), "models"]
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]}?" if close else " `halley config show` lists all settings."
    return SettingsError(f"There is no setting {name} ({origin}).{hint}")


def _is_model(group: str) -> bool:
    return group.startswith("models.") and group.count("/") == 1


def _fields(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {field.name: field.type for field in msgspec.structs.fields(kind)}


@cache
def _groups() -> dict[str, type[Part]]:
    return {name: kind for name, kind in _fields(Settings).items() if isinstance(kind, type) and issubclass(kind, Part)}


@cache
def _model_fields() -> dict[str, Any]:
    return _fields(Model)


@cache
def _leaves() -> dict[str, Any]:
    top = {n: k for n, k in _fields(Settings).items() if n not in _groups() and n not in {"models", "origins"}}
    return top | {f"{group}.{name}": kind for group, part in _groups().items() for name, kind in _fields(part).items()}


def _walk(settings: Settings) -> Iterable[tuple[str, Any]]:
    for name in _leaves():
        group, _, key = name.rpartition(".")
        yield name, getattr(getattr(settings, group) if group else settings, key)
    for model, value in settings.models.items():
        for key in _model_fields():
            yield f"models.{model}.{key}", getattr(value, key)


def _shown_value(name: str, value: Any) -> str:
    if value is None:
        return "none"
    if name in SECRET_NAMES:
        return MASK
    return str(value) if isinstance(value, Path) else msgspec.json.encode(value).decode()


def _user_folder(what: Literal["data", "config"]) -> Path:
    import platformdirs  # only when no file or flag says it

    return platformdirs.user_data_path("halley") if what == "data" else platformdirs.user_config_path("halley")
