"""A list of flat objects as a table."""

from typing import Any, Final

import msgspec

_ROWS: Final = 200
_COLUMNS: Final = 24
_CHARACTERS: Final = 300  # of one cell


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of texts; `more` rows are left out. `numeric` are the columns that hold numbers only."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()
    more: int = 0


def table_of(value: Any) -> Table | None:
    """The table, if the value is a list of objects whose members are all simple; otherwise None."""
    if not isinstance(value, list) or not value or not all(isinstance(row, dict) for row in value):
        return None
    columns: dict[str, bool] = {}  # whether it holds numbers only
    for row in value:
        for name, cell in row.items():
            if isinstance(cell, (dict, list)):
                return None
            is_number = isinstance(cell, (int, float)) and not isinstance(cell, bool)
            columns[name] = columns.get(name, True) and (is_number or cell is None)
        if len(columns) > _COLUMNS:
            return None
    if not columns:
        return None
    return Table(
        columns=tuple(columns),
        rows=tuple(tuple(_cell(row.get(name)) for name in columns) for row in value[:_ROWS]),
        numeric=frozenset(number for number, is_number in enumerate(columns.values()) if is_number),
        more=max(0, len(value) - _ROWS),
    )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _CHARACTERS else f"{text[:_CHARACTERS]}…"
