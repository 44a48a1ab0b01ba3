"""Draws what the documentation shows of the code: python docs/draw.py [--check].

Between `<!-- drawn: NAME -->` and `<!-- end -->` stands what a function here makes from the code itself. With --check
nothing is written and a stale drawing ends it with 1. What code cannot say (the meaning of a setting in words) is in
`reference/meanings.toml`; a drawing that finds no meaning fails, and so does a meaning of nothing.
"""

import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
import typer.main

from halley import errors
from halley.api.http.quirks import PROFILES, QuirkProfile, longest_hold
from halley.api.presentation.problems import STATUS
from halley.api.routes import ROUTES
from halley.cli.commands.check import describe, shown_default
from halley.cli.failures import ExitCode, ServerRefused, exit_code_of
from halley.cli.inputs import input_properties
from halley.cli.main import app
from halley.predictions.lifecycle import REASONS, TRANSITIONS
from halley.predictions.status import TERMINAL, Fact, Status
from halley.replicas.inspect import inspect
from halley.replicas.loading import demo_folders, load_source
from halley.settings import (
    PROVIDER_KINDS,
    CollectionSettings,
    LimitSettings,
    ModelSettings,
    ProviderSettings,
    RouteSettings,
    Settings,
    SettingsTable,
)

DOCS: Final = Path(__file__).resolve().parent
MEANINGS: Final = DOCS / "reference" / "meanings.toml"
_NAMED: Final[dict[str, type[msgspec.Struct]]] = {  # tables with names that the operator chooses
    "models": ModelSettings,
    "collections": CollectionSettings,
    "providers": ProviderSettings,
    "routes": RouteSettings,
}
_NO_SETTING: Final = frozenset({*_NAMED, "origins"})
_LINK_PARAMETERS: Final = frozenset({"signature", "t"})  # a link's right may be in its query
_HTTP_STATUSES: Final = (400, 401, 402, 403, 404, 405, 409, 410, 413, 422, 429, 500, 502, 503)

_SOURCE_NOTE: Final = re.compile(r" \(contract [\d., ]+\)")  # the code names its source; a reader has no use for it

# the lifecycle


def lifecycle() -> str:
    """The transition table as a Mermaid state diagram."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {Status.STARTING}: created"]
    arrows: dict[tuple[Status, Status], list[Fact]] = {}
    for (before, fact), after in TRANSITIONS.items():
        arrows.setdefault((before, after), []).append(fact)
    lines += [f"    {before} --> {after}: {', '.join(facts)}" for (before, after), facts in arrows.items()]
    lines += [f"    {status} --> [*]" for status in Status if status in TERMINAL]
    return "\n".join([*lines, "```"])


def transitions() -> str:
    """The transition table as a table: what leads where."""
    rows = []
    for (before, fact), after in TRANSITIONS.items():
        reason = REASONS.get((before, fact), "")
        rows.append([f"`{before}`", fact.replace("_", " "), f"`{after}`", f"`{reason}`" if reason else ""])
    rest = len(Status) * len(Fact) - len(TRANSITIONS)
    drawn = table(["when it is", "and this happens", "it becomes", "reason"], rows)
    return f"{drawn}\n\nThe other {rest} pairs of status and fact are refused."


def statuses() -> str:
    """Every status, and whether it is the end."""
    rows = [
        [f"`{status}`", "yes" if status.is_terminal else "no", meaning("status", status.value)] for status in Status
    ]
    return table(["status", "terminal", "meaning"], rows)


def reasons() -> str:
    """Every word of `termination_reason`."""
    rows = [[f"`{word}`", text] for word, text in meanings("reason").items()]
    return table(["reason", "meaning"], rows)


# settings


def settings() -> str:
    """Every setting, by its table in halley.toml."""
    top = [(name, kind, default) for name, kind, default in _fields(Settings) if not _is_part(kind)]
    parts = [_settings_table("", [field for field in top if field[0] not in _NO_SETTING])]
    for group, kind, _ in _fields(Settings):
        if _is_part(kind):
            parts.append(f"## `[{group}]`\n\n{_settings_table(f'{group}.', _fields(kind))}")
    return "\n\n".join(parts)


def model_settings() -> str:
    """The settings of one model."""
    return _settings_table("models.", _fields(ModelSettings))


def collection_settings() -> str:
    """The settings of one collection."""
    return _settings_table("collections.", _fields(CollectionSettings))


def provider_settings() -> str:
    """The settings of one service elsewhere: what all kinds have, then a table for each kind."""
    parts = [_settings_table("providers.", _fields(ProviderSettings))]
    for word, kind in PROVIDER_KINDS.items():
        title = f'### `kind = "{word}"`\n\n{meaning("kind", word)}'
        parts.append(f"{title}\n\n{_settings_table(f'providers.{word}.', _own_fields(kind))}")
    return "\n\n".join(parts)


def route_settings() -> str:
    """The settings of one route."""
    return _settings_table("routes.", _fields(RouteSettings))


def limits() -> str:
    """Every limit with what happens beyond it."""
    answers = meanings("answer")
    rows = [
        [meaning("setting", f"limits.{name}"), shown(name, default), answers[f"limits.{name}"], f"`limits.{name}`"]
        for name, _, default in _fields(LimitSettings)
    ]
    return table(["limit", "default", "beyond it", "setting"], rows)


def setting_names() -> Iterator[str]:
    """The dotted names of all settings; those of a model begin `models.`, without the model's name, and so on."""
    for name, kind, _ in _fields(Settings):
        if _is_part(kind):
            yield from (f"{name}.{field}" for field, _, _ in _fields(kind))
        elif name not in _NO_SETTING:
            yield name
    for group, kind in _NAMED.items():
        yield from (f"{group}.{field}" for field, _, _ in _fields(kind))
    for word, kind in PROVIDER_KINDS.items():
        yield from (f"providers.{word}.{field}" for field, _, _ in _own_fields(kind))


def shown(name: str, value: Any) -> str:
    """A default as one would write it in halley.toml, durations and sizes in their plainest unit."""
    if value is None:
        return "none"
    if value is msgspec.NODEFAULT:
        return meaning("default", name)
    if name.endswith("_seconds"):
        return f'`"{_in_units(round(value * 1000), _DURATIONS)}"`'
    if name.endswith("_bytes"):
        return f'`"{_in_units(value, {"MiB": 2**20, "KiB": 2**10, "MB": 10**6, "kB": 1000, "B": 1})}"`'
    return f"`{msgspec.json.encode(value).decode()}`"


def _settings_table(prefix: str, fields: Iterable[tuple[str, Any, Any]]) -> str:
    reserved = meanings("reserved")["settings"]
    rows = []
    for name, _, default in fields:
        text = meaning("setting", prefix + name)
        if prefix + name in reserved:
            text += " **No effect yet.**"
        rows.append([f"`{name}`", shown(name, default), text])
    return table(["setting", "default", "meaning"], rows)


_DURATIONS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


def _in_units(value: float, units: Mapping[str, float]) -> str:
    unit, size = next((unit, size) for unit, size in units.items() if value >= size and value % size == 0)
    return f"{value / size:g}{unit}"


def _own_fields(kind: type[ProviderSettings]) -> list[tuple[str, Any, Any]]:
    """The settings that only this kind of service has."""
    shared = {name for name, _, _ in _fields(ProviderSettings)}
    return [field for field in _fields(kind) if field[0] not in shared]


def _fields(kind: type[msgspec.Struct]) -> list[tuple[str, Any, Any]]:
    return [(field.name, field.type, field.default) for field in msgspec.structs.fields(kind)]


def _is_part(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, SettingsTable)


# the API


def routes() -> str:
    """Every route: what it is, who may call it, what it answers."""
    rows = []
    for route in ROUTES:
        path = route.pattern if route.at_root else f"/v1{route.pattern}"
        is_link = route.is_secret or {param.name for param in route.params} & _LINK_PARAMETERS
        right = f"`{route.scope}` key" if route.scope else "link" if is_link else "nothing"
        answers = ", ".join(str(status) for status in route.success)
        rows.append([f"`{route.method} {path}`", right, answers, f"{route.summary}.{_parameters(route.params)}"])
    return table(["route", "needs", "answers", "what it does"], rows)


def _parameters(params: Sequence[Any]) -> str:
    names = {place: [f"`{param.name}`" for param in params if param.place == place] for place in ("query", "header")}
    query = f" Query: {', '.join(names['query'])}." if names["query"] else ""
    headers = f" Headers: {', '.join(names['header'])}." if names["header"] else ""
    return query + headers


def parameters() -> str:
    """Every parameter of the routes, once."""
    found = {(param.name, param.place): _parameter(param) for route in ROUTES for param in route.params}
    rows = [[f"`{name}`", place, text] for (name, place), text in sorted(found.items(), key=lambda item: item[0][::-1])]
    return table(["parameter", "where", "meaning"], rows)


def _parameter(param: Any) -> str:
    values = ", ".join(f"`{value}`" for value in param.values)
    return f"{param.description} One of {values}." if len(param.values) > 1 else str(param.description)


def error_codes() -> str:
    """Every error of the tree: what the API answers, and how the command line ends."""
    rows = []
    for kind in _errors(errors.HalleyError):
        status, title = next((STATUS[base] for base in kind.__mro__ if base in STATUS), (500, "Internal server error"))
        code = exit_code_of(_blank(kind))
        rows.append([f"`{kind.code}`", f"{int(status)} {title}", str(int(code)), _first_sentence(kind.__doc__)])
    return table(["error", "HTTP answer", "exit code", "meaning"], rows)


def exit_codes() -> str:
    """Every exit code of the command line, and the HTTP answers that lead to it."""
    by_code: dict[int, list[str]] = {}
    for status in _HTTP_STATUSES:
        by_code.setdefault(exit_code_of(ServerRefused(status, "")), []).append(str(status))
    rows = [[str(int(code)), meaning("exit", code.name), ", ".join(by_code.get(code, []))] for code in ExitCode]
    return table(["exit code", "meaning", "HTTP answers"], rows)


def clients() -> str:
    """How each official client is met."""
    rows = [
        [
            ", ".join(f"`{agent}`" for agent in profile.agents),
            "yes" if profile.data_urls else "no",
            _held(profile),
            _SOURCE_NOTE.sub("", profile.why),
        ]
        for profile in PROFILES
    ]
    return table(["user agent begins", "small files as `data:` URLs", "polls are held for at most", "why"], rows)


def _held(profile: QuirkProfile) -> str:
    if not profile.hold_seconds:
        return "not held"
    return f"{LimitSettings().hold_seconds:g} s, by a setting up to {longest_hold(profile):g} s"


def _errors(kind: type[errors.HalleyError]) -> Iterator[type[errors.HalleyError]]:
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield below
            yield from _errors(below)


def _blank(kind: type[errors.HalleyError]) -> errors.HalleyError:
    # made without its arguments: only the type counts
    return kind.__new__(kind)


# the command line


def commands() -> str:
    """Every command with its arguments and options."""
    shared = _shared_options()
    parts = [f"## Options of several commands\n\n{_option_table(shared.values())}"]
    for path, command in _commands(typer.main.get_command(app), "halley"):
        arguments = [param for param in command.params if not _is_option(param)]
        options = [param for param in command.params if _is_option(param) and not param.hidden]
        own = [option for option in options if _key(option) not in shared]
        also = ", ".join(f"`{option.opts[-1]}`" for option in options if _key(option) in shared)
        blocks = [f"## `{' '.join([path, *map(_argument, arguments)])}`", _help(command)]
        if any(argument.help for argument in arguments):
            blocks.append("\n".join(f"- `{_argument(argument)}`: {argument.help}" for argument in arguments))
        if own:
            blocks.append(_option_table(own))
        if also:
            blocks.append(f"Also: {also}.")
        parts.append("\n\n".join(blocks))
    return "\n\n".join(parts)


def command_names() -> list[str]:
    """`halley demo`, `halley predictions list`, ..."""
    return [path for path, _ in _commands(typer.main.get_command(app), "halley")]


# Typer carries its own copy of the parser under a private name: these are told apart by what they can, not by type.


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for name, below in command.commands.items():
            yield from _commands(below, f"{path} {name}")
    else:
        yield path, command


def _is_option(param: Any) -> bool:
    return bool(param.param_type_name == "option")


@cache
def _shared_options() -> dict[tuple[str, str], Any]:
    counts: dict[tuple[str, str], int] = {}
    found: dict[tuple[str, str], Any] = {}
    for _, command in _commands(typer.main.get_command(app), "halley"):
        for option in command.params:
            if _is_option(option) and not option.hidden:
                counts[_key(option)] = counts.get(_key(option), 0) + 1
                found[_key(option)] = option
    return {key: option for key, option in found.items() if counts[key] > 1}


def _key(option: Any) -> tuple[str, str]:
    return "/".join(option.opts), f"{option.help} {option.default}"


def _option_table(options: Iterable[Any]) -> str:
    rows = []
    for option in options:
        names = ", ".join([*option.opts, *option.secondary_opts])
        value = "" if option.is_flag else f" {option.metavar or (option.name or '').upper()}"
        default = option.default
        stated = f" Default: `{default}`." if isinstance(default, str | int) and not option.is_flag and default else ""
        rows.append([f"`{names}{value}`", f"{option.help or ''}{stated}"])
    return table(["option", "meaning"], rows)


def _argument(param: Any) -> str:
    name = param.metavar or (param.name or "").upper()
    return str(name if param.required or name.startswith("[") else f"[{name}]")


def _help(command: Any) -> str:
    text, _, examples = (command.help or "").partition("\b\nExamples:\n")
    lines = [line.strip() for line in text.strip().splitlines()]
    return "\n".join([*lines, "", *(f"    {line.strip()}" for line in examples.splitlines())]).strip()


# the demo models


def demo_models() -> str:
    """The inputs of every demo model, as the model itself tells them."""
    import asyncio

    parts = []
    for source in (load_source(folder, owner="demo") for folder in demo_folders()):
        document = msgspec.json.decode(asyncio.run(inspect(source, environ={})).openapi_schema)
        schemas = document["components"]["schemas"]
        required = set(schemas["Input"].get("required", []))
        rows = [
            [
                f"`{name}`",
                describe(item).replace("|", "or"),
                "required" if name in required else f"`{shown_default(item)}`" if shown_default(item) else "",
                _bounds(item) + str(item.get("description", "")),
            ]
            for name, item in (input_properties(document) or {}).items()
        ]
        inputs = table(["input", "type", "default", "meaning"], rows)
        given = meaning("demo", source.name)
        parts.append(f"## {source.name}\n\n{given} Output: {describe(schemas['Output'])}.\n\n{inputs}")
    return "\n\n".join(parts)


def _bounds(item: Mapping[str, Any]) -> str:
    low, high = item.get("minimum"), item.get("maximum")
    return "" if low is None or high is None else f"{low:g} to {high:g}. "


# words and tables


@cache
def _all_meanings() -> dict[str, dict[str, Any]]:
    return tomllib.loads(MEANINGS.read_text(encoding="utf-8"))


def meanings(kind: str) -> dict[str, Any]:
    """The words of one table of meanings.toml."""
    return _all_meanings()[kind]


def meaning(kind: str, name: str) -> str:
    """The words for one thing.

    Raises:
        KeyError: nobody has written them yet.
    """
    found = meanings(kind)
    if name not in found:
        raise KeyError(f'docs/reference/meanings.toml has no "{name}" in [{kind}]: say in a sentence what it means')
    return str(found[name])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _first_sentence(text: str | None) -> str:
    return (text or "").strip().splitlines()[0]


DRAWINGS: Final[dict[str, Callable[[], str]]] = {
    "lifecycle": lifecycle,
    "transitions": transitions,
    "statuses": statuses,
    "reasons": reasons,
    "settings": settings,
    "model-settings": model_settings,
    "collection-settings": collection_settings,
    "provider-settings": provider_settings,
    "route-settings": route_settings,
    "limits": limits,
    "routes": routes,
    "parameters": parameters,
    "errors": error_codes,
    "exit-codes": exit_codes,
    "clients": clients,
    "commands": commands,
    "demo-models": demo_models,
}


def redrawn(text: str) -> str:
    """The page with every drawing made anew."""
    for name, draw in DRAWINGS.items():
        place = re.compile(rf"(<!-- drawn: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = place.sub(lambda found, draw=draw: f"{found[1]}{draw()}\n{found[2]}", text)  # type: ignore[misc]
    return text


def main() -> int:
    stale = []
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        fresh = redrawn(text)
        if fresh != text:
            stale.append(page)
            if "--check" not in sys.argv:
                page.write_text(fresh, encoding="utf-8")
                sys.stdout.write(f"drawn: {page.relative_to(DOCS.parent)}\n")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
