"""`BaseModel`: an output made of named members."""

from __future__ import annotations

import copy
import dataclasses
import sys
from typing import Any


class BaseModel:
    """A subclass becomes a dataclass with its annotations as members.

    A list, dict or set as a default is copied for each instance. Members without a default may follow ones
    with a default where the Python is new enough to allow it (3.10).
    """

    def __init_subclass__(cls, *, auto_dataclass: bool = True, init: bool = True, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not auto_dataclass:
            return
        names = getattr(cls, "__annotations__", {})
        defaults = {name: cls.__dict__[name] for name in names if name in cls.__dict__}
        _give_defaults(cls, defaults)
        try:
            dataclasses.dataclass(init=init)(cls)
        except TypeError:
            # "non-default argument follows default argument": allowed in the model classes that authors know
            if sys.version_info < (3, 10):
                raise
            _give_defaults(cls, defaults)  # the failed attempt has removed some of them
            dataclasses.dataclass(init=init, kw_only=True)(cls)


def _give_defaults(cls: type, defaults: Any) -> None:
    for name, default in defaults.items():
        is_mutable = isinstance(default, (list, dict, set))
        setattr(cls, name, dataclasses.field(default_factory=_copier(default)) if is_mutable else default)


def _copier(default: Any) -> Any:
    return lambda: copy.copy(default)
