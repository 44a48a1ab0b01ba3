"""`halley check`: what a model folder offers, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from halley.cli.options import JsonOption
from halley.cli.screen import Screen


def check(
    path: Annotated[Path, typer.Argument(metavar="[PATH]", help="A model folder, or a single Python file.")] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Say what a model takes and gives, without a server.

    The model is imported in a process of its own; setup() does not run.

    \b
    Examples:
      halley check ./my-model
    """
    import msgspec

    from halley.cli.inputs import input_properties
    from halley.replicas.inspect import inspect_folder

    screen = Screen(json_only=as_json)
    found = inspect_folder(path.resolve())
    document = msgspec.json.decode(found.openapi_schema)
    if as_json:
        screen.out_json({"ref": found.ref, "schema": document, "warnings": list(found.warnings)})
        return
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
    screen.out(f"OUTPUT  {describe(schemas.get('Output', {}))}")
    for warning in found.warnings:
        screen.note(f"warning: {warning}")


def describe(item: dict[str, Any]) -> str:
    """Say a schema's type in a few words."""
    choices = next((part["enum"] for part in [item, *item.get("allOf", [])] if part.get("enum")), None)
    if choices is not None:
        return " | ".join(str(choice) for choice in choices)
    kind = str(item.get("type", "any"))
    if kind == "array":
        return f"list of {describe(item.get('items') or {})}"
    if kind == "string" and item.get("format") in {"uri", "password"}:
        return {"uri": "file", "password": "secret"}[item["format"]]
    return kind


def shown_default(item: dict[str, Any]) -> str:
    """Say what is used where an optional input is left out."""
    return "" if item.get("default") is None else str(item["default"])
