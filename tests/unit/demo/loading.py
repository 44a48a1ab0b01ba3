"""Import a demo model as the runner does: its folder and our `cog` first on the path, its file by name."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import halley
from halley.demo import DEMO_FOLDER

COG_FOLDER = Path(halley.__file__).parent / "runner" / "path"


def load(model: str, file: str) -> ModuleType:
    """A fresh copy of one of the model's modules; its neighbours are found beside it."""
    folder = DEMO_FOLDER / model
    for place in (str(COG_FOLDER), str(folder)):
        if place not in sys.path:
            sys.path.append(place)
    spec = importlib.util.spec_from_file_location(f"demo_{model}_{file.removesuffix('.py')}", folder / file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
