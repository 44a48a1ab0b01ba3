"""Finds the class or function that a reference such as `predict.py:Predictor` names."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import sys
from typing import Any, List, Optional

from .frames import Frame
from .predictor import FUNCTION_NAMES, CannotLoad, Predictor, own_method

CLASS_NAMES = ("Runner", "Predictor")


def load(config: Frame) -> Predictor:
    """Import the model's file and inspect its predictor.

    Raises:
        CannotLoad: the file or the predictor in it does not exist.
        BaseException: the import of the model's file may raise anything.
    """
    file_name, _, wanted = config["ref"].partition(":")
    module = _import_file(config["folder"], file_name, config["ref"])
    notices: List[str] = []
    target = _named(module, file_name, wanted) if wanted else _unnamed(module, file_name, notices)
    return Predictor(target, config.get("max_concurrency"), notices, trains=False)


def load_trainer(config: Frame) -> Optional[Predictor]:
    """The same for the training function; None if the model has none.

    Raises:
        CannotLoad: see `load`.
        BaseException: see `load`.
    """
    ref = config.get("train_ref")
    if not ref:
        return None
    file_name, _, wanted = ref.partition(":")
    module = _import_file(config["folder"], file_name, ref)
    return Predictor(_named(module, file_name, wanted or "train"), 1, [], trains=True)


def _import_file(folder: str, file_name: str, ref: str) -> Any:
    path = os.path.join(folder, file_name)
    if not os.path.isfile(path):
        raise CannotLoad("there is no file %s in the model folder; the reference is %s" % (file_name, ref))
    name = os.path.splitext(file_name)[0].replace(os.sep, ".")
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == path:
        return known  # predict and train in one file
    # a name that is taken (`code.py`, `types.py`) or cannot be imported (`my-model.py`) gets another module name
    if name.split(".")[0] in sys.modules or not all(part.isidentifier() for part in name.split(".")):
        name = "_model_" + re.sub(r"\W", "_", name)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise CannotLoad("%s is not a Python file" % file_name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _named(module: Any, file_name: str, wanted: str) -> Any:
    target = getattr(module, wanted, None)
    if target is None:
        raise CannotLoad("%s defines no %s; it defines %s" % (file_name, wanted, _own_names(module)))
    if not callable(target):
        raise CannotLoad("%s in %s is neither a class nor a function" % (wanted, file_name))
    return target


def _unnamed(module: Any, file_name: str, notices: List[str]) -> Any:
    found = [name for name in CLASS_NAMES + FUNCTION_NAMES if callable(getattr(module, name, None))]
    # a class that cannot predict (an imported library's `Runner`) is used only if there is no other candidate
    for name in [name for name in found if _can_predict(getattr(module, name))] or found:
        if name == "Predictor":
            notices.append("the name Predictor is deprecated, call the class Runner")
        elif name == "Runner" and "Predictor" in found:
            notices.append("both Runner and Predictor are defined; Runner is used")
        return getattr(module, name)
    raise CannotLoad(
        "%s defines none of %s; it defines %s. Name the class in the reference, as in %s:MyClass"
        % (file_name, ", ".join(CLASS_NAMES + FUNCTION_NAMES), _own_names(module), file_name)
    )


def _can_predict(target: Any) -> bool:
    return not inspect.isclass(target) or own_method(target, FUNCTION_NAMES) is not None


def _own_names(module: Any) -> str:
    names = [
        name
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", "") == module.__name__ and not name.startswith("_")
    ]
    return ", ".join(names) or "no class and no function"
