"""Decides which environment a model needs, before anything is built."""

import hashlib
import sysconfig
from pathlib import Path
from typing import Final, Literal

import msgspec

from halley.errors import Unusable
from halley.replicas.environments.interpreters import OLDEST, Interpreter, Interpreters, is_too_old, server_interpreter
from halley.replicas.environments.requirements import read_requirements
from halley.replicas.loading import ModelSource

_OPTIONS: Final = ("--", "-r", "-c", "-i", "-f")  # lines that name places, not packages; they may contain passwords
LAYOUT: Final = 1  # increased when environments are built in another way, so that old ones are not used


class EnvironmentRules(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator may set. `max_bytes` None keeps every environment."""

    env: Literal["own", "current"] = "own"
    tool: Literal["auto", "uv", "pip"] = "auto"
    strict_python: bool = False
    build_timeout_seconds: float = 1800.0
    max_bytes: int | None = None


class EnvironmentPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A planned environment; `key` names it. Equal requirements have equal keys, so models share it."""

    key: str
    model: str  # the model that asked for it
    folder: Path  # of the model: relative paths in requirements start here
    interpreter: Interpreter
    requirements: str
    packages: tuple[str, ...]  # one line each, for people


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """`plan` is None if the model runs in the server's interpreter."""

    plan: EnvironmentPlan | None = None
    warnings: tuple[str, ...] = ()


def make_plan(source: ModelSource, rules: EnvironmentRules, interpreters: Interpreters) -> Planned:
    """Decide which environment the model gets. Blocks: it reads files and may ask interpreters for their version.

    Raises:
        Unusable: a requirements file cannot be read, the Python is too old for our runner, or it is not installed and
            `strict_python` is set.
    """
    if (source.env or rules.env) == "current":
        return Planned()
    wanted = source.installs.python_version
    interpreter, warnings = (
        _interpreter(source.name, wanted, rules, interpreters) if wanted else (server_interpreter(), ())
    )
    found = read_requirements(source)
    if not found.text and interpreter.path == server_interpreter().path:
        return Planned(warnings=warnings)
    identity = [LAYOUT, interpreter.implementation, interpreter.version, interpreter.home]
    whole = msgspec.json.encode([*identity, sysconfig.get_platform(), *found.identity])
    plan = EnvironmentPlan(
        key=hashlib.sha256(whole).hexdigest()[:32],
        model=source.name,
        folder=source.folder,
        interpreter=interpreter,
        requirements=found.text,
        packages=tuple(line.partition(" # ")[0] for line in found.identity if not line.startswith(_OPTIONS)),
    )
    return Planned(plan=plan, warnings=warnings)


def _interpreter(
    name: str, wanted: str, rules: EnvironmentRules, interpreters: Interpreters
) -> tuple[Interpreter, tuple[str, ...]]:
    found, own = interpreters.find(wanted), server_interpreter()
    text = f"{name} asks for Python {wanted} (`build.python_version`)"
    if is_too_old(wanted):
        text = f"{text}, which is too old: models run with Python {'.'.join(map(str, OLDEST))} or newer"
        if found is not None or rules.strict_python:
            raise Unusable(f"{text}. Ask for a newer one, or leave it out: then Python {own.version} runs it.")
        return own, (f"{text}; it runs on Python {own.version}. --strict-python would refuse it.",)
    if found is not None:
        return found, ()
    text = f"{text}, which is not installed on this machine"
    if rules.strict_python:
        raise Unusable(f"{text}. Install it, or serve without --strict-python: then Python {own.version} runs it.")
    return own, (f"{text}; it runs on Python {own.version}. --strict-python would refuse it.",)
