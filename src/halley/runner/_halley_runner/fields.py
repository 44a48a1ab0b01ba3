"""The members of data classes of every kind: dataclasses, named tuples, pydantic 1 and 2."""

from __future__ import annotations

import dataclasses
import sys
import typing
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Union

import cog

from .hints import hints_of

Warn = Callable[[str], None]
Steps = Tuple[Union[str, int], ...]
ABSENT = object()


class Field(NamedTuple):
    """One member. `names` are its names in JSON: each is a key, or a path of keys and indexes into a nested value."""

    names: Tuple[Steps, ...]
    annotation: Any
    required: bool
    default: Any = ABSENT
    factory: Optional[Callable[[], Any]] = None


def fields_of(cls: Any, warn: Warn) -> Optional[List[Field]]:
    """The members in order; None if this is not a data class."""
    hints = None
    if is_pydantic(cls):
        return _of_pydantic(cls, warn)
    if dataclasses.is_dataclass(cls):
        hints = hints_of(cls, warn)
        return [_of_dataclass(field, hints) for field in dataclasses.fields(cls) if field.init]
    if is_named_tuple(cls):
        hints = hints_of(cls, warn)
        defaults: Dict[str, Any] = getattr(cls, "_field_defaults", {})
        return [
            Field(((name,),), hints.get(name, Any), name not in defaults, defaults.get(name, ABSENT))
            for name in cls._fields
        ]
    return None


def is_named_tuple(cls: Any) -> bool:
    """Whether instances are tuples with names."""
    return isinstance(cls, type) and issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple)


def is_pydantic(cls: Any) -> bool:
    """Whether pydantic makes the instances and reads the members itself: a model, or a pydantic dataclass."""
    if not isinstance(cls, type):
        return False
    named = any(base.__module__.split(".")[0] == "pydantic" for base in cls.__mro__)
    known = ("__pydantic_fields__", "model_fields", "__fields__", "__pydantic_model__")
    return (named and any(hasattr(cls, name) for name in known)) or "__pydantic_fields__" in cls.__dict__


def root_of(cls: Any) -> Optional[str]:
    """The name of the only member of a root model, which stands for a bare value such as a list."""
    if not is_pydantic(cls):
        return None
    if "__root__" in (getattr(cls, "__fields__", None) or {}):
        return "__root__"
    return "root" if any(base.__name__ == "RootModel" for base in cls.__mro__) else None


def from_json(cls: Any) -> Callable[[Any], Any]:
    """The function of pydantic that makes an instance from a value that is not an object."""
    return getattr(cls, "model_validate", None) or cls.parse_obj  # type: ignore[no-any-return]


def _of_dataclass(field: Any, hints: Dict[str, Any]) -> Field:
    missing = dataclasses.MISSING
    default = ABSENT if field.default is missing else field.default
    factory = None if field.default_factory is missing else field.default_factory
    required = default is ABSENT and factory is None
    return Field(((field.name,),), hints.get(field.name, Any), required, default, factory)


def _of_pydantic(cls: Any, warn: Warn) -> List[Field]:
    own = cls.__dict__.get("__pydantic_model__")  # a dataclass of pydantic 1
    cls = own or cls
    known = cls.__dict__.get("__pydantic_fields__") or getattr(cls, "model_fields", None)
    hints = hints_of(cls, warn)
    if known is None:
        return [_of_pydantic_1(cls, name, field, hints) for name, field in getattr(cls, "__fields__", {}).items()]
    return [_of_pydantic_2(cls, name, field, hints) for name, field in known.items()]


def _of_pydantic_1(cls: Any, name: str, field: Any, hints: Dict[str, Any]) -> Field:
    by_name = getattr(cls.__config__, "allow_population_by_field_name", False)
    names = [(field.alias,), (name,)] if by_name and field.alias != name else [(field.alias,)]
    annotation = hints.get(name, Any)
    if _is_open(annotation):
        annotation = field.outer_type_
    if field.allow_none and not field.required:
        annotation = Optional[annotation]
    default = ABSENT if field.default is None else field.default
    return Field(tuple(names), annotation, bool(field.required), default, field.default_factory)


def _of_pydantic_2(cls: Any, name: str, field: Any, hints: Dict[str, Any]) -> Field:
    annotation = hints.get(name, field.annotation)
    if _is_open(annotation):  # a generic class with its type arguments
        annotation = field.annotation
        if any(mark is cog.Opaque for mark in field.metadata) and sys.version_info >= (3, 9):
            annotation = typing.Annotated[annotation, cog.Opaque]
    config = getattr(cls, "model_config", None) or getattr(cls, "__pydantic_config__", None) or {}
    alias = getattr(field, "validation_alias", None) or getattr(field, "alias", None)
    names = _ways(alias) if alias is not None and config.get("validate_by_alias", True) is not False else []
    by_name = config.get("populate_by_name") or config.get("validate_by_name")
    if (not names or by_name) and (name,) not in names:
        names.append((name,))
    default = ABSENT if field.is_required() or field.default_factory is not None else field.default
    factory = field.default_factory
    if factory is not None and getattr(field, "default_factory_takes_validated_data", False):
        factory = None
    return Field(tuple(names), annotation, bool(field.is_required()), default, factory)


def _ways(alias: Any) -> List[Steps]:
    if isinstance(alias, str):
        return [(alias,)]
    choices = getattr(alias, "choices", None)  # AliasChoices
    if choices is not None:
        return [way for choice in choices for way in _ways(choice)]
    return [tuple(getattr(alias, "path", ()))]  # AliasPath


def _is_open(annotation: Any) -> bool:
    if isinstance(annotation, typing.TypeVar):
        return True
    return any(_is_open(argument) for argument in typing.get_args(annotation))
