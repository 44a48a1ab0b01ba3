"""The schema of a model: from the short form in a job file, or from a file with an OpenAPI document."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from halley.dispatch.imported_models import read_schema
from halley.errors import Unusable
from halley.models.validation import InputSchema
from halley.providers.http_job.faults import JobFileError
from halley.providers.http_job.tables import InputTable, ModelTable

_FILE: Final = {"type": "string", "format": "uri"}
_OUTPUTS: Final[Mapping[str, dict[str, Any]]] = {
    "file": _FILE,
    "files": {"type": "array", "items": _FILE},
    "text": {"type": "string"},
    "texts": {"type": "array", "items": {"type": "string"}},
    "stream": {"type": "array", "items": {"type": "string"}, "x-cog-array-type": "iterator"},
    "json": {},
}
_LIMITS: Final = {"minimum": "minimum", "maximum": "maximum", "max_length": "maxLength"}


class JobSchema(msgspec.Struct, frozen=True, kw_only=True):
    """A model's OpenAPI document, and what a job needs of it."""

    document: bytes
    names: frozenset[str]  # of the members of its input
    is_open: bool  # other members are allowed, too
    defaults: Mapping[str, Any]
    files: frozenset[str]  # members that are files, or lists of them
    has_file_output: bool  # a file, or a list of files
    is_list_output: bool
    is_any_output: bool  # the schema does not say what the output is


def schema_of(name: str, table: ModelTable, folder: Path) -> JobSchema:
    """The schema of the model; `folder` is where relative paths of schema files begin.

    Raises:
        JobFileError: there is none, or it cannot be used.
    """
    place = f'models."{name}"'
    if table.schema is None:
        return _described(place, _short(name, table, place))
    if table.input or table.output is not None:
        raise JobFileError(f"{place}.schema", "it describes input and output; leave out the members of these names.")
    try:
        return _described(place, read_schema(folder / table.schema))
    except Unusable as error:
        raise JobFileError(f"{place}.schema", str(error)) from error


def _compiled(place: str, document: bytes) -> InputSchema:
    try:
        return InputSchema(document)
    except Unusable as error:
        raise JobFileError(place, str(error)) from error


def _described(place: str, document: bytes) -> JobSchema:
    found = msgspec.json.decode(document)["components"]["schemas"]
    properties: dict[str, dict[str, Any]] = found["Input"].get("properties", {})
    defaults = {name: rule["default"] for name, rule in properties.items() if rule.get("default") is not None}
    schema = _compiled(place, document)
    required = set(found["Input"].get("required", ()))
    for fault in schema.faults(defaults) if required <= set(defaults) else ():
        raise JobFileError(f"{place}.input", f"a default does not fit its own rule: {fault.field} {fault.description}")
    output = found.get("Output", {})
    return JobSchema(
        document=document,
        names=schema.names,
        is_open=found["Input"].get("additionalProperties") is True,
        defaults=defaults,
        files=frozenset(name for name, rule in properties.items() if _is_file(rule) or _is_file(rule.get("items"))),
        has_file_output=_is_file(output) or _is_file(output.get("items")),
        is_list_output=output.get("type") == "array",
        is_any_output=not output.keys() & {"type", "$ref", "anyOf", "allOf", "oneOf"},
    )


def _short(name: str, table: ModelTable, place: str) -> bytes:
    if table.output is None:
        raise JobFileError(place, 'it has no member `output`: "file", "files", "text", "texts", "stream" or "json".')
    properties = {
        member: _rule(member, order, one, f"{place}.input.{member}")
        for order, (member, one) in enumerate(table.input.items())
    }
    given = {"title": "Input", "type": "object", "properties": properties}
    if required := [member for member, one in table.input.items() if one.required]:
        given["required"] = required
    document = {
        "openapi": "3.0.2",
        "info": {"title": name, "version": "1"},
        "paths": {},
        "components": {"schemas": {"Input": given, "Output": {"title": "Output", **_OUTPUTS[table.output]}}},
    }
    return msgspec.json.encode(document)


def _rule(name: str, order: int, table: InputTable, place: str) -> dict[str, Any]:
    if table.required and table.default is not None:
        raise JobFileError(place, "it is required, so that its default is never used; leave out one of them.")
    item: dict[str, Any] = dict(_FILE) if table.type == "file" else {"type": table.type}
    for field, word in _LIMITS.items():
        if (limit := getattr(table, field)) is not None:
            if not _LIMITED[word](table.type):
                raise JobFileError(f"{place}.{field}", f"an input of type {table.type} has no such limit.")
            item[word] = limit
    if table.choices is not None:
        _check_choices(table, f"{place}.choices")
        item["enum"] = list(table.choices)
    rule: dict[str, Any] = {"type": "array", "items": item} if table.list else item
    rule |= {"title": name.replace("_", " ").capitalize(), "x-order": order}
    if table.description is not None:
        rule["description"] = table.description
    if table.secret:
        if table.type != "string" or table.list:
            raise JobFileError(f"{place}.secret", "only a text can be a secret.")
        rule |= {"x-cog-secret": True, "format": "password"}
    if table.default is not None:
        rule["default"] = table.default
        _check_default(rule, f"{place}.default")
    return rule


_LIMITED: Final[Mapping[str, Callable[[str], bool]]] = {
    "minimum": lambda kind: kind in ("integer", "number"),
    "maximum": lambda kind: kind in ("integer", "number"),
    "maxLength": lambda kind: kind == "string",
}


def _check_choices(table: InputTable, place: str) -> None:
    if not table.choices:
        raise JobFileError(place, "it is empty, so that no value is possible.")
    if len(set(map(repr, table.choices))) < len(table.choices):
        raise JobFileError(place, "it has a value twice.")
    _check_all({"type": "string" if table.type == "file" else table.type}, table.choices, place)


def _check_default(rule: Mapping[str, Any], place: str) -> None:
    _check_all(rule, (rule["default"],), place)


def _check_all(rule: Mapping[str, Any], values: tuple[Any, ...], place: str) -> None:
    """Each value fits the rule."""
    properties = {"value": {key: part for key, part in rule.items() if key != "default"}}
    given = {"type": "object", "properties": properties}
    document = {"components": {"schemas": {"Input": given, "Output": {}}}}
    schema = _compiled(place, msgspec.json.encode(document))
    for value in values:
        if faults := schema.faults({"value": value}):
            raise JobFileError(place, f"{value!r} is not possible: {faults[0].description}.")


def _is_file(rule: Any) -> bool:
    return isinstance(rule, dict) and rule.get("type") == "string" and rule.get("format") == "uri"
