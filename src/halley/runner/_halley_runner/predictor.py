"""Finds the model's predictor and says once what every prediction needs to know about it."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import sys
from typing import Any, Callable, Dict, List, Optional

from cog.input import MISSING, FieldInfo

from .frames import Frame
from .shapes import Shape, hints_of, iterated, literal, shape_of

CLASS_NAMES = ("Runner", "Predictor")
FUNCTION_NAMES = ("run", "predict")


class CannotLoad(Exception):
    """The model folder does not hold what its reference promises; the text says what and what to do."""


class Parameter:
    """One input."""

    def __init__(self, name: str, shape: Shape, info: FieldInfo) -> None:
        self.name = name
        self.shape = shape
        self.info = info

    @property
    def has_default(self) -> bool:
        """Whether it may be left out. `Optional` without a default may: it is None then, as in Cog."""
        return self.info.default is not MISSING or self.shape.nullable

    @property
    def default(self) -> Any:
        return None if self.info.default is MISSING else self.info.default


class Predictor:
    """A class or a function, inspected but neither made nor called."""

    def __init__(self, target: Any, config: Frame, warnings: List[str]) -> None:
        self.target = target
        self.warnings = warnings
        self.is_class = inspect.isclass(target)
        self.handler_name = self._find_handler_name() if self.is_class else ""
        self.handler = getattr(target, self.handler_name) if self.is_class else target
        plain = inspect.unwrap(self.handler)
        generates = inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain)
        self.is_async = inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain)
        self.takes_anything = False
        """Whether it has `**kwargs`: then inputs of any name are passed on."""
        hints = hints_of(self.handler, self._warn)
        self.parameters = self._find_parameters(hints)
        self._find_output(hints.get("return", inspect.Parameter.empty), generates)
        self.max_concurrency = self._find_concurrency(config.get("max_concurrency"))
        self.is_streaming = bool(getattr(self.handler, "__cog_streaming__", False))

    @property
    def takes_files(self) -> bool:
        """Whether some input is a file, alone or in a list."""
        shapes = [parameter.shape for parameter in self.parameters]
        kinds = {shape.kind for shape in shapes} | {shape.item.kind for shape in shapes if shape.item is not None}
        return not kinds.isdisjoint(("path", "file"))

    def make(self) -> Any:
        """The callable for predictions and the setup method, if there is one: (handler, setup)."""
        if not self.is_class:
            return self.target, None
        instance = self.target()
        return getattr(instance, self.handler_name), getattr(instance, "setup", None)

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def _find_handler_name(self) -> str:
        for name in FUNCTION_NAMES:
            if callable(getattr(self.target, name, None)):
                return name
        raise CannotLoad("class %s has neither a run nor a predict method" % self.target.__name__)

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
        shape = shape_of(
            hints.get(name, inspect.Parameter.empty), lambda text: self._warn("input %s: %s" % (name, text))
        )
        if info.choices is not None:
            shape = _with_choices(shape, info.choices)
        if info.default is None:
            # `seed: int = Input(default=None)`: models in the field mean "may be left out", and newer Cog
            # versions, which read it as "required", would only refuse what works here
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


def load(config: Frame) -> Predictor:
    """Import the model's file and inspect its predictor.

    Raises:
        CannotLoad: there is no such file or no predictor in it.
        BaseException: whatever the model's file raises when it is imported.
    """
    file_name, _, wanted = config["ref"].partition(":")
    path = os.path.join(config["folder"], file_name)
    if not os.path.isfile(path):
        raise CannotLoad("there is no file %s in the model folder; the reference is %s" % (file_name, config["ref"]))
    module = _import_file(path, file_name)
    return Predictor(_find_target(module, file_name, wanted), config, [])


def _import_file(path: str, file_name: str) -> Any:
    name = os.path.splitext(file_name)[0].replace(os.sep, ".")
    # a name that is taken (`code.py`, `types.py`) or not importable (`my-model.py`) gets one of its own
    if name.split(".")[0] in sys.modules or not all(part.isidentifier() for part in name.split(".")):
        name = "_model_" + re.sub(r"\W", "_", name)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise CannotLoad("%s is not a Python file" % file_name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _find_target(module: Any, file_name: str, wanted: str) -> Any:
    if wanted:
        target = getattr(module, wanted, None)
        if target is None:
            raise CannotLoad("%s defines no %s; it defines %s" % (file_name, wanted, _own_names(module)))
        if not callable(target):
            raise CannotLoad("%s in %s is neither a class nor a function" % (wanted, file_name))
        return target
    for name in CLASS_NAMES + FUNCTION_NAMES:
        if callable(getattr(module, name, None)):
            return getattr(module, name)
    raise CannotLoad(
        "%s defines none of %s; it defines %s. Name the class in the reference, as in %s:MyClass"
        % (file_name, ", ".join(CLASS_NAMES + FUNCTION_NAMES), _own_names(module), file_name)
    )


def _own_names(module: Any) -> str:
    names = [
        name
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", "") == module.__name__ and not name.startswith("_")
    ]
    return ", ".join(names) or "no class and no function"


def _with_choices(shape: Shape, choices: List[Any]) -> Shape:
    values = [getattr(choice, "value", choice) for choice in choices]
    if shape.kind == "array":
        shape.item = literal(values)
        return shape
    chosen = literal(values, shape.python)
    chosen.nullable = chosen.nullable or shape.nullable
    return chosen
