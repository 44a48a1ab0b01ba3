"""`Input(...)`: the default of a parameter, together with what is known about it."""

from __future__ import annotations

from typing import Any, List, Optional, Sequence, Union


class _Missing:
    """The mark of an input that has no default: `None` is a default like any other."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()


class FieldInfo:
    """What `Input` was told. Plain attributes; nothing is checked before the model is inspected."""

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

    `ge` and `le` bound numbers, `min_length`, `max_length` and `regex` bound text, `choices` lists the only
    values that are taken, `accept` says which files are meant, as the attribute of that name in HTML does.

    Raises:
        TypeError: `default_factory` was given: a default stands in the schema, so it must be a value.
    """
    if default_factory is not None:
        raise TypeError("Input() takes no default_factory; give a value as default=, or build it in run()")
    listed = None if choices is None else list(choices)
    return FieldInfo(default, description, ge, le, min_length, max_length, regex, listed, deprecated, accept)
