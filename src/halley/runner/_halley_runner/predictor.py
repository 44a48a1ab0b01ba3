"""What every prediction needs to know about the model's predictor, found out once."""

from __future__ import annotations

import inspect
from typing import Any, Callable, Dict, List, Optional

import cog
from cog.input import MISSING, FieldInfo

from .hints import hints_of
from .shapes import Shape, as_input, holds_file, iterated, literal, shape_of

FUNCTION_NAMES = ("run", "predict")


class CannotLoad(Exception):
    """The model folder does not match its configuration; the text says what is wrong and what to do."""


class Parameter:
    """One input."""

    def __init__(self, name: str, shape: Shape, info: FieldInfo) -> None:
        self.name = name
        self.shape = shape
        self.info = info

    @property
    def has_default(self) -> bool:
        """Whether it may be left out. `Optional` without a default may: its value is None then, as in Cog."""
        return self.info.default is not MISSING or self.shape.nullable

    @property
    def default(self) -> Any:
        return None if self.info.default is MISSING else self.info.default


class Predictor:
    """A class or a function, inspected but not yet called."""

    def __init__(self, target: Any, max_concurrency: Optional[int], notices: List[str], *, trains: bool) -> None:
        self.target = target
        self.trains = trains
        """Whether it produces weights instead of predictions (a training function)."""
        self.warnings: List[str] = []
        """What could not be understood; shown when the model is inspected, and logged."""
        self.notices = notices
        """Old names, which work like the new ones; they are only logged."""
        self.is_class = inspect.isclass(target)
        self.handler_name = self._find_handler_name() if self.is_class else ""
        self.handler = getattr(target, self.handler_name) if self.is_class else target
        if self.is_class and not trains:
            self._notice_old_names()
        plain = inspect.unwrap(self.handler)
        generates = inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain)
        self.is_async = inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain)
        self.takes_anything = False
        """Whether it has `**kwargs`: inputs of any name are then passed on."""
        hints = hints_of(self.handler, self._warn)
        self.parameters = self._find_parameters(hints)
        self._find_output(hints.get("return", inspect.Parameter.empty), generates)
        self.max_concurrency = self._find_concurrency(max_concurrency)
        self.is_streaming = bool(getattr(self.handler, "__cog_streaming__", False))

    @property
    def takes_files(self) -> bool:
        """Whether some input is a file or holds one."""
        return any(holds_file(parameter.shape) for parameter in self.parameters)

    @property
    def has_healthcheck(self) -> bool:
        """Whether the model defines a health check."""
        return self.is_class and callable(getattr(self.target, "healthcheck", None))

    def make(self) -> Any:
        """The callables (handler, setup, healthcheck); the last two may be None."""
        if not self.is_class:
            return self.target, None, None
        instance = self.target()
        healthcheck = instance.healthcheck if self.has_healthcheck else None
        return getattr(instance, self.handler_name), getattr(instance, "setup", None), healthcheck

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def _find_handler_name(self) -> str:
        name = own_method(self.target, FUNCTION_NAMES)
        if name is not None:
            return name
        if self.trains and callable(getattr(self.target, "train", None)):
            return "train"
        raise CannotLoad("class %s has neither a run nor a predict method" % self.target.__name__)

    def _notice_old_names(self) -> None:
        name = self.target.__name__
        if self.handler_name == "predict":
            self.notices.append("%s.predict() is deprecated, name it run()" % name)
        elif own_method(self.target, ("predict",)) is not None:
            self._warn("%s has both run() and predict(); run() is used" % name)
        if issubclass(self.target, cog.BasePredictor):
            self.notices.append("BasePredictor is deprecated, inherit from BaseRunner")

    def _find_parameters(self, hints: Dict[str, Any]) -> List[Parameter]:
        found = []
        given = list(inspect.signature(self.handler).parameters.values())
        for parameter in given[1 if self._has_self() else 0 :]:
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                self.takes_anything = True
            if parameter.kind in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL):
                continue
            if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
                raise CannotLoad("input %s is positional-only; inputs are passed by name" % parameter.name)
            found.append(self._read_parameter(parameter, hints))
        return found

    def _has_self(self) -> bool:
        if not self.is_class:
            return False
        for cls in self.target.__mro__:
            if self.handler_name in cls.__dict__:
                return not isinstance(cls.__dict__[self.handler_name], (staticmethod, classmethod))
        return True

    def _read_parameter(self, parameter: inspect.Parameter, hints: Dict[str, Any]) -> Parameter:
        name, info = parameter.name, parameter.default
        if not isinstance(info, FieldInfo):
            info = FieldInfo(MISSING if info is inspect.Parameter.empty else info)
        if parameter.annotation is inspect.Parameter.empty:
            self._warn("input %s has no type; any JSON value is taken" % name)
        shape = as_input(
            shape_of(hints.get(name, inspect.Parameter.empty), lambda text: self._warn("input %s: %s" % (name, text)))
        )
        if info.choices is not None:
            shape = _with_choices(shape, info.choices)
        if info.default is None:
            # `seed: int = Input(default=None)`: published models mean "may be left out". Newer Cog versions read it as
            # "required", which would only refuse what works here.
            shape.nullable = True
        return Parameter(name, shape, info)

    def _find_output(self, annotation: Any, generates: bool) -> None:
        warn: Callable[[str], None] = lambda text: self._warn("output: %s" % text)  # noqa: E731
        found = iterated(annotation)
        self.streams = found is not None or generates
        """Whether the output comes in pieces."""
        self.concatenates = bool(found and found[1])
        if annotation is inspect.Parameter.empty:
            warn("no return type; any JSON value may come")
        elif generates and found is None:
            warn("it yields, but its return type is no iterator; its items may be any JSON value")
        if found is not None:
            self.output = shape_of(found[0], warn)
        else:
            self.output = Shape("any") if generates else shape_of(annotation, warn)
        self.returns_nothing = self.output.kind == "none"

    def _find_concurrency(self, configured: Optional[int]) -> int:
        wanted = configured or getattr(self.handler, "__cog_concurrent_max__", None) or 1
        if wanted > 1 and not self.is_async:
            self._warn(
                "max_concurrency is %d, but %s is not async: one prediction runs at a time"
                % (wanted, self.handler_name or "the function")
            )
            return 1
        return int(wanted)


def _with_choices(shape: Shape, choices: List[Any]) -> Shape:
    values = [getattr(choice, "value", choice) for choice in choices]
    if shape.kind == "array":
        shape.item = literal(values, cog.Path if shape.item is not None and shape.item.kind == "path" else None)
        return shape
    chosen = literal(values, cog.Path if shape.kind == "path" else shape.python)
    chosen.nullable = chosen.nullable or shape.nullable
    return chosen


def own_method(cls: type, names: Any) -> Optional[str]:
    """The first of these names that the author's class has as a method; methods of our base classes do not count."""
    for name in names:
        method = getattr(cls, name, None)
        if callable(method) and method is not getattr(cog.BaseRunner, name, None):
            return str(name)
    return None
