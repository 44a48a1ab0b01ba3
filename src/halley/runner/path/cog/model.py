"""`BaseModel`: an output made of named members."""

from __future__ import annotations

import copy
import dataclasses
import sys
from typing import Any


class BaseModel:
    """A subclass becomes a dataclass whose members are its annotations.

    A list, dict or set as a default is copied for each instance. Members without a default may follow ones
    with a default where the Python is new enough to allow it (3.10).
    """

    def __init_subclass__(cls, *, auto_dataclass: bool = True, init: bool = True, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not auto_dataclass:
            return
        for name in getattr(cls, "__annotations__", {}):
            default = cls.__dict__.get(name, dataclasses.MISSING)
            if isinstance(default, (list, dict, set)):
                setattr(cls, name, dataclasses.field(default_factory=_copier(default)))
        try:
            dataclasses.dataclass(init=init)(cls)
        except TypeError:
            # "non-default argument follows default argument": legal in the model classes authors know
            if sys.version_info < (3, 10):
                raise
            dataclasses.dataclass(init=init, kw_only=True)(cls)


def _copier(default: Any) -> Any:
    return lambda: copy.copy(default)
