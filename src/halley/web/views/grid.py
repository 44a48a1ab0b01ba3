"""A grid run: one input object varied over values of one or two names, or over models."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final

import msgspec

from halley.strict_json import DEPTH, is_deeper
from halley.web.views.run import ShownRun
from halley.web.views.texts import cut, decode_small

MOST_RUNS: Final = 64
MODEL_AXIS: Final = "model"  # of a table; an input of this name has the axis "input.model"
_LABEL: Final = 80
_AXIS_VALUES: Final = 64
_NAME: Final = 30  # characters of a run's name, for each axis
_NO_VALUE: Final = "(not given)"
_HIDDEN: Final = "…"


class GridInvalid(ValueError):
    """The form of a grid run cannot be used; `field` is the one to correct."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class GridAxis(msgspec.Struct, frozen=True, kw_only=True):
    """A name and the values that it takes; the name is MODEL_AXIS or `input.NAME`."""

    name: str
    values: tuple[Any, ...]

    @property
    def title(self) -> str:
        return self.name.removeprefix("input.")


class PlannedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One prediction to be made."""

    model: str
    input: dict[str, Any]


class GridPlan(msgspec.Struct, frozen=True, kw_only=True):
    """All of them: an input goes down, another one or the models across. There is no axis if there is one run only."""

    down: GridAxis | None
    across: GridAxis | None
    runs: tuple[PlannedRun, ...]

    def name_of(self, run: PlannedRun, secrets: Collection[str]) -> str:
        """What distinguishes a run from the others, without the values of the inputs `secrets`."""
        axes = [axis for axis in (self.down, self.across) if axis is not None]
        parts = [cut(run.model, _NAME) if axis.name == MODEL_AXIS else _word(axis.title, run, secrets) for axis in axes]
        return ", ".join(parts) or cut(run.model, _NAME)


def read_values(text: str, kind: str, field: str) -> tuple[Any, ...]:
    """The values of a field with one on each line, each once. `kind` is the JSON type of the input, "" if unknown.

    A line of a text input is that text; of others it is JSON. For an unknown type it is JSON if it can be.

    Raises:
        GridInvalid: a line is not of this kind.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    values: dict[bytes, Any] = {}
    for line in lines[: MOST_RUNS + 1]:
        value = _value(line, kind, field)
        values.setdefault(msgspec.json.encode(value), value)
    return tuple(values.values())


def read_input(text: str) -> dict[str, Any]:
    """The input that all runs share.

    Raises:
        GridInvalid: not a JSON object.
    """
    body = text.strip().encode()
    if not body:
        return {}
    value = None
    if not is_deeper(body, DEPTH):
        value = _decoded(text.strip(), "input", 'must be a JSON object, such as {"prompt": "a lake"}')
    if not isinstance(value, dict):
        raise GridInvalid("input", 'must be a JSON object, such as {"prompt": "a lake"}')
    return value


def plan(models: Sequence[str], shared: Mapping[str, Any], axes: Sequence[GridAxis]) -> GridPlan:
    """The runs in the order of the table.

    Raises:
        GridInvalid: no model, too many axes, the same input twice, or more than MOST_RUNS.
    """
    models = tuple(dict.fromkeys(models))
    if not models:
        raise GridInvalid("model", "choose a model")
    used = [axis for axis in axes if axis.values]
    if len({axis.name for axis in used}) < len(used):
        raise GridInvalid("y", "is varied already: choose another input")
    if len(models) > 1:
        used.append(GridAxis(name=MODEL_AXIS, values=models))
    if len(used) > 2:
        raise GridInvalid("y", "several models and two varied inputs make no table: vary one input only")
    count = 1
    for axis in used:
        count *= len(axis.values)
    if count > MOST_RUNS:
        raise GridInvalid("y" if len(used) > 1 else "x", f"{count} runs are more than {MOST_RUNS}: leave out values")
    runs = tuple(_runs(models[0], shared, used))
    across = used.pop() if len(used) > 1 or len(models) > 1 else None  # models are beside each other
    return GridPlan(down=used[0] if used else None, across=across, runs=runs)


class GridCell(msgspec.Struct, frozen=True, kw_only=True):
    """The runs with the values of one row and one column: usually one."""

    runs: tuple[ShownRun, ...] = ()


class GridRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row, with the value of the first axis."""

    label: str
    cells: tuple[GridCell, ...]


class GridTable(msgspec.Struct, frozen=True, kw_only=True):
    """Runs in the order of their values; `columns` is one empty label if nothing is varied across."""

    columns: tuple[str, ...]
    rows: tuple[GridRow, ...]


def varied(runs: Sequence[ShownRun]) -> tuple[str, str]:
    """The axes on which runs differ, down and across; "" for none. Models are across."""
    members = [value if isinstance(value := decode_small(run.input), dict) else {} for run in runs]
    names = dict.fromkeys(name for one in members for name in one)
    differing = [f"input.{name}" for name in names if len({msgspec.json.encode(one.get(name)) for one in members}) > 1]
    if len({run.model for run in runs}) > 1:
        differing = [*differing[:1], MODEL_AXIS] if differing else ["", MODEL_AXIS]
    down, across = [*differing, "", ""][:2]
    return down, across


def table(runs: Sequence[ShownRun], down: str, across: str) -> GridTable:
    """Arrange runs, the oldest first, by the values that they have on two axes."""
    places = [(_on(run, down), _on(run, across), run) for run in runs]
    rows = list(dict.fromkeys(row for row, _, _ in places))[:_AXIS_VALUES]
    columns = list(dict.fromkeys(column for _, column, _ in places))[:_AXIS_VALUES]
    cells: dict[tuple[str, str], list[ShownRun]] = {}
    for row, column, run in places:
        cells.setdefault((row, column), []).append(run)
    return GridTable(
        columns=tuple(cut(column, _LABEL) for column in columns) or ("",),
        rows=tuple(
            GridRow(
                label=cut(row, _LABEL),
                cells=tuple(GridCell(runs=tuple(cells.get((row, column), ()))) for column in columns),
            )
            for row in rows
        ),
    )


def _runs(model: str, shared: Mapping[str, Any], axes: Sequence[GridAxis]) -> Iterator[PlannedRun]:
    for values in product(*(axis.values for axis in axes)):
        name, members = model, dict(shared)
        for axis, value in zip(axes, values, strict=True):
            if axis.name == MODEL_AXIS:
                name = value
            else:
                members[axis.title] = value
        yield PlannedRun(model=name, input=members)


def _word(name: str, run: PlannedRun, secrets: Collection[str]) -> str:
    value = _HIDDEN if name in secrets else run.input.get(name)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return cut(f"{name} {text}", _NAME)


def _on(run: ShownRun, axis: str) -> str:
    """The value of a run on an axis, as text."""
    if not axis:
        return ""
    if axis == MODEL_AXIS:
        return run.model
    members = decode_small(run.input)
    name = axis.removeprefix("input.")
    if not isinstance(members, dict) or name not in members:
        return _NO_VALUE
    value = members[name]
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _value(line: str, kind: str, field: str) -> Any:
    if kind == "string":
        return line
    if kind:
        return _decoded(line, field, f"{cut(line, _LABEL)!r} is no {kind}")
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return line


def _decoded(text: str, field: str, fault: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise GridInvalid(field, fault) from error
