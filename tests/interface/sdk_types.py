"""Run by an interpreter that has the real `cog`: what its own inspector says about the types of our predictors.

`python sdk_types.py NAME...` in the folder of the models prints {name: null | {"output": ..., "inputs": {...}}};
null means that Cog refuses what we take.
"""

import contextlib
import importlib
import json
import sys
import warnings

NAMES = ("Runner", "Predictor", "run", "predict")


def types_of(name: str):
    from cog import _inspector

    try:
        module = importlib.import_module(name)
        target = next(found for found in NAMES if hasattr(module, found))
        known = _inspector.create_predictor(name, target)
    except Exception:  # noqa: BLE001 - refused, or it needs a package that is not there
        return None
    inputs = {key: field.type.json_type() for key, field in known.inputs.items()}
    return {"output": known.output.json_type(), "inputs": inputs}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.path.insert(0, ".")
    sys.dont_write_bytecode = True
    with contextlib.redirect_stdout(sys.stderr):
        found = {name: types_of(name) for name in sys.argv[1:]}
    print(json.dumps(found))
