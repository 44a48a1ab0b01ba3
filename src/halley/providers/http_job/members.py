"""Checks the members of a job file; the error for an unknown one suggests the most similar name."""

import math
from datetime import date, time
from typing import Any

import msgspec
from msgspec import inspect

from halley.providers.http_job.faults import JobFileError, meant
from halley.providers.http_job.tables import JobFileTable


def converted(value: Any) -> JobFileTable:
    """The file's tables.

    Raises:
        JobFileError: a member is unknown or missing, or of a wrong type.
    """
    _check(value, inspect.type_info(JobFileTable), "")
    try:
        return msgspec.convert(value, JobFileTable)
    except msgspec.ValidationError as error:
        text, _, where = str(error).partition(" - at `$")
        text = text.replace("Object missing required field", "it has no member")
        raise JobFileError(where.rstrip("`").lstrip("."), f"{text[:1].lower()}{text[1:]}.") from error


def _check(value: Any, kind: inspect.Type, place: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise JobFileError(place, "it is no finite number.")
    if isinstance(value, date | time):
        raise JobFileError(place, "put a date into quotes.")
    if isinstance(kind, inspect.StructType) and isinstance(value, dict):
        fields = {field.encode_name: field.type for field in kind.fields}
        for name, member in value.items():
            if name not in fields:
                raise JobFileError(_below(place, name), f"there is no such member. {meant(name, fields)}")
            _check(member, fields[name], _below(place, name))
    elif isinstance(kind, inspect.DictType) and isinstance(value, dict):
        for name, member in value.items():
            _check(member, kind.value_type, _below(place, name))
    elif isinstance(kind, inspect.ListType) and isinstance(value, list):
        for index, item in enumerate(value):
            _check(item, kind.item_type, f"{place}[{index}]")
    elif isinstance(kind, inspect.LiteralType) and isinstance(value, str) and value not in kind.values:
        raise JobFileError(place, f"{value!r} is not possible here. {meant(value, map(str, kind.values))}")
    elif isinstance(kind, inspect.UnionType):
        for option in kind.types:
            _check(value, option, place)


def _below(place: str, name: str) -> str:
    shown = name if name.replace("_", "").replace("-", "").isalnum() else f'"{name}"'
    return f"{place}.{shown}" if place else shown
