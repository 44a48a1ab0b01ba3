"""Plain arguments are read as typer reads them, without what typer loads for that."""

import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.core
from typer._coercion import build_runtime_param, resolve_type_descriptor
from typer.models import ArgumentInfo, OptionInfo

from halley.cli.plain_arguments import _NOT_PLAIN, plain, read_plainly


class Colour(StrEnum):
    RED = "red"


TEXTS = ["", "a", "7", "-7", " 7", "007", "1_000", "9" * 30, "7.5", "true", "no", "ö", "\udcff", "/", "./a", "none/b"]
KINDS = [
    (str, OptionInfo()),
    (int, OptionInfo()),
    (int, OptionInfo(min=1)),
    (int, OptionInfo(max=3, clamp=True)),
    (float, OptionInfo()),
    (bool, OptionInfo()),
    (Path, OptionInfo()),
    (Path, ArgumentInfo(exists=True)),
    (Path, ArgumentInfo(dir_okay=False)),
    (Path, ArgumentInfo(allow_dash=True)),
    (Path, ArgumentInfo(resolve_path=True)),
    (Colour, OptionInfo()),
    (str, OptionInfo(parser=str.upper)),
    (list[str], OptionInfo()),
    (list[int], OptionInfo()),
    (list[Path], ArgumentInfo()),
]


def read(reader: Any, value: Any, param: typer.core.TyperOption) -> object:
    """The value, or what is wrong with it."""
    try:
        found = reader.coerce(value, param=param, ctx=None)
    except Exception as error:  # noqa: BLE001 - it is compared
        return type(error), str(error)
    return type(found), found


@pytest.mark.parametrize(("kind", "info"), KINDS, ids=range(len(KINDS)))
def test_every_value_is_read_as_by_typer(kind: Any, info: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typer.core, "build_runtime_param", build_runtime_param)
    read_plainly()
    descriptor = resolve_type_descriptor(kind, info)
    param = typer.core.TyperOption(
        param_decls=["--it"], type_descriptor=descriptor, multiple=descriptor.is_list, required=False
    )
    ours, its = typer.core.build_runtime_param(descriptor), build_runtime_param(descriptor)
    assert type(ours) is not type(its)
    values = [(text, text) for text in TEXTS] if descriptor.is_list else TEXTS
    for value in [None, True, 3, [], *values]:
        assert read(ours, value, param) == read(its, value, param), value


def test_a_path_that_may_not_be_read_is_left_to_typer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda _path, mode: mode == 0)
    assert plain(Path, OptionInfo(), "/secret") is _NOT_PLAIN


def loaded_by(*arguments: str) -> list[str]:
    """The packages that a command has loaded at its end, or when the server takes its place."""
    code = (
        "import atexit, os, sys\n"
        "def tell(*_): print('LOADED', *{name.partition('.')[0] for name in sys.modules}, flush=True); os._exit(0)\n"
        "atexit.register(tell); os.execve = tell; sys.argv[0] = 'halley'\n"
        "from halley.cli.start import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.partition("LOADED")[2].split()


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve", "--no-demo", "--port", "0", "--data", "/nowhere", "."),
        ("ps", "--server", "http://127.0.0.1:1", "--json"),
        ("run", "demo/noop", "prompt=hi", "--server", "http://127.0.0.1:1", "--output", "/nowhere"),
        ("version",),
        ("--help",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_command_loads_no_pydantic(arguments: tuple[str, ...]) -> None:
    loaded = loaded_by(*arguments)
    assert "halley" in loaded
    assert "pydantic" not in loaded
