"""`Input(...)`: the default of a parameter, and what is known about the parameter."""

from __future__ import annotations

from typing import Any, List, Optional, Sequence, Union


class _Missing:
    """Marks an input without a default: `None` is a valid default."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()


class FieldInfo:
    """The arguments of `Input`, as plain attributes; nothing is checked before the model is inspected."""

    def __init__(
        self,
        default: Any = MISSING,
        description: Optional[str] = None,
        ge: Optional[float] = None,
        le: Optional[float] = None,
        min_length: Optional[int] = None,
        max_length: Optional[int] = None,
        regex: Optional[str] = None,
        choices: Optional[List[Any]] = None,
        deprecated: Optional[bool] = None,
        accept: Optional[str] = None,
    ) -> None:
        self.default = MISSING if default is ... else default
        self.description = description
        self.ge = ge
        self.le = le
        self.min_length = min_length
        self.max_length = max_length
        self.regex = regex
        self.choices = choices
        self.deprecated = deprecated
        self.accept = accept

    def __repr__(self) -> str:
        known = ", ".join("%s=%r" % item for item in vars(self).items() if item[1] is not None)
        return "Input(%s)" % known


def Input(
    default: Any = MISSING,
    description: Optional[str] = None,
    ge: Optional[float] = None,
    le: Optional[float] = None,
    min_length: Optional[int] = None,
    max_length: Optional[int] = None,
    regex: Optional[str] = None,
    choices: Optional[Sequence[Union[str, int, float]]] = None,
    deprecated: Optional[bool] = None,
    accept: Optional[str] = None,
    default_factory: Any = None,
) -> Any:
    """Describe one input of `predict`. Without `default` the input is required.

    `ge` and `le` bound numbers, `min_length`, `max_length` and `regex` bound text, `choices` lists the only allowed
    values, `accept` says which files are meant, as the HTML attribute of that name does.

    Raises:
        TypeError: `default_factory` was given: a default is part of the schema, so it must be a value.
    """
    if default_factory is not None:
        raise TypeError("Input() takes no default_factory; give a value as default=, or build it in run()")
    listed = None if choices is None else list(choices)
    return FieldInfo(default, description, ge, le, min_length, max_length, regex, listed, deprecated, accept)
