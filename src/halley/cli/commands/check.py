"""`halley check`: shows what a model folder offers, without a server."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from halley.cli.options import ConfigOption, DataOption, EnvOption, JsonOption, StrictPythonOption
from halley.cli.screen import Screen

if TYPE_CHECKING:
    from halley.replicas.environments.environments import EnvironmentBuilder
    from halley.replicas.inspect import Inspected
    from halley.replicas.loading import ModelSource
    from halley.replicas.places import IsolationWay
    from halley.settings import Settings


def check(
    path: Annotated[Path, typer.Argument(metavar="[PATH]", help="A model folder, or a single Python file.")] = Path(),
    build: Annotated[bool, typer.Option("--build", help="Build the environment that the model requires.")] = False,
    env: EnvOption = None,
    strict_python: StrictPythonOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a model's inputs, output and faults, without a server.

    It also shows the environment of the model, and what is missing in it.

    The model is imported in a separate process; setup() does not run.

    \b
    Examples:
      halley check ./my-model
      halley check ./my-model --build
    """
    import asyncio

    from halley.cli.starting import settings_from

    screen = Screen(json_only=as_json)
    flags = {"data": data, "environments.env": env, "environments.strict_python": strict_python}
    settings = settings_from(config, flags)
    found, environment, way = asyncio.run(_look(path.resolve(), settings, screen, build=build))
    document = msgspec.json.decode(found.openapi_schema)
    if as_json:
        screen.out_json(
            {
                "ref": found.ref,
                "schema": document,
                "environment": msgspec.to_builtins(environment),
                "isolation": msgspec.to_builtins(way),
                "warnings": list(found.warnings),
            }
        )
        return
    _print_schema(screen, found, document)
    screen.out(f"ENVIRONMENT  {environment.words()}")
    for package in environment.packages:
        screen.out(f"  {package}")
    screen.out(f"ISOLATION  {way.words()}")
    for warning in found.warnings:
        screen.note(f"warning: {warning}")


def _print_schema(screen: Screen, found: Inspected, document: dict[str, Any]) -> None:
    from halley.cli.inputs import input_properties

    schemas = document["components"]["schemas"]
    required = set(schemas.get("Input", {}).get("required", []))
    screen.out(f"{found.ref}{'  async' if found.is_async else ''}  at once: {found.max_concurrency or 1}")
    rows = [
        [
            name,
            describe(item),
            "required" if name in required else shown_default(item),
            str(item.get("description", "")),
        ]
        for name, item in (input_properties(document) or {}).items()
    ]
    if rows:
        screen.table(["INPUT", "TYPE", "DEFAULT", "DESCRIPTION"], rows)
    form = document.get("x-halley-form")
    if form:
        screen.out(f"FORM  {describe_form(form)}")
    screen.out(f"OUTPUT  {describe(schemas.get('Output', {}))}")


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The Python environment of a model. `folder` is None if it is Halley's own."""

    python: str
    folder: str | None = None
    packages: tuple[str, ...] = ()
    is_built: bool = True
    size_bytes: int | None = None

    def words(self) -> str:
        """Describe it in one line."""
        if self.folder is None:
            return f"the Python {self.python} that runs Halley"
        own = f"its own, Python {self.python}"
        if not self.is_built:
            return f"{own}; not built yet: `halley serve` builds it, or `halley check --build` now"
        return f"{own}, {(self.size_bytes or 0) / 1e6:,.0f} MB in {self.folder}"


async def _look(
    path: Path, settings: Settings, screen: Screen, *, build: bool
) -> tuple[Inspected, Environment, IsolationWay]:
    from halley.clock import SystemClock
    from halley.errors import Unusable
    from halley.replicas.environments.environments import open_environments
    from halley.replicas.inspect import inspect
    from halley.replicas.loading import load_source
    from halley.replicas.places import Places, choose_isolation
    from halley.replicas.setup_layers import SetupLayers
    from halley.replicas.workspace import delete_folder
    from halley.settings import hide_environ, process_environ

    hide_environ()  # the inspected model runs under the same user
    environ = process_environ()
    home = Path(tempfile.mkdtemp(prefix="halley-check-", dir=_on_disk_of(settings.data)))
    way = choose_isolation(settings.isolation, home)
    places = Places(
        home,
        found=way,
        environ=environ,
        share=settings.isolation.share,
        keep=[home, settings.environments.folder or settings.data / "envs"],
        layers=SetupLayers(home / "setup", limit_bytes=settings.isolation.setup_bytes),
    )
    environments = open_environments(settings, clock=SystemClock(), environ=environ)
    try:
        plain = load_source(path)
        source = environments.resolve(plain)
        if build and not environments.is_ready(source):
            screen.note(f"building the environment; the log is {environments.log_of(source.environment_key or '')}")
            await environments.prepare(source)
        environment = _environment(environments, source)
        if environment.is_built:
            return await inspect(source, environ=environ, places=places), environment, way
        try:
            found = await inspect(plain, environ=environ, places=places)
        except Unusable as error:
            raise Unusable(
                f"{error}\nThe environment that it requires is not built yet, so Halley's own Python was used:"
                " try again with --build."
            ) from error
        return (
            msgspec.structs.replace(found, warnings=(*source.warnings, *found.warnings[len(plain.warnings) :])),
            environment,
            way,
        )
    finally:
        await environments.close()
        delete_folder(home)


def _on_disk_of(data: Path) -> Path | None:
    """A writable folder on the disk of the data folder; None: any."""
    nearest = next((folder for folder in (data, *data.parents) if folder.is_dir()), None)
    return nearest if nearest is not None and os.access(nearest, os.W_OK) else None


def _environment(environments: EnvironmentBuilder, source: ModelSource) -> Environment:
    plan = environments.plan_of(source)
    if plan is None:
        return Environment(python=".".join(str(part) for part in sys.version_info[:3]))
    return Environment(
        python=plan.interpreter.version,
        folder=str(Path(source.python).parent.parent),
        packages=plan.packages,
        is_built=environments.is_ready(source),
        size_bytes=environments.size_of(plan.key),
    )


def describe(item: dict[str, Any]) -> str:
    """Describe a schema's type in a few words."""
    choices = next((part["enum"] for part in [item, *item.get("allOf", [])] if part.get("enum")), None)
    if choices is not None:
        return " | ".join(str(choice) for choice in choices)
    kind = str(item.get("type", "any"))
    if kind == "array":
        return f"list of {describe(item.get('items') or {})}"
    if kind == "string" and item.get("format") in {"uri", "password"}:
        return {"uri": "file", "password": "secret"}[item["format"]]
    return kind


def describe_form(form: dict[str, Any]) -> str:
    """Describe how the author arranged the inputs, in one line."""
    parts = [f"order: {', '.join(form['order'])}"] if form.get("order") else []
    parts += [f"{title}: {', '.join(names)}" for title, names in form.get("groups", {}).items()]
    parts += [f"hidden: {', '.join(form['hidden'])}"] if form.get("hidden") else []
    counts = [(len(form.get(key, ())), word) for key, word in (("labels", "label"), ("help", "help text"))]
    counts.append((len(form.get("examples", ())), "example"))
    parts += [f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts if count]
    return "; ".join(parts)


def shown_default(item: dict[str, Any]) -> str:
    """Describe the value of an optional input that is left out."""
    return "" if item.get("default") is None else str(item["default"])
