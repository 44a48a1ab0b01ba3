"""Which kind each table with a chosen name is: it decides which members the table may have."""

from __future__ import annotations

from collections.abc import Mapping

from halley.settings.kinds import SettingsError, SettingsTable
from halley.settings.names import NAMED, split_named
from halley.settings.sources import Given


def kinds_of_tables(found: Mapping[str, Given]) -> dict[str, type[SettingsTable]]:
    """The class of each table, by its dotted name.

    Raises:
        SettingsError: a table says no kind, or one that does not exist.
    """
    kinds: dict[str, type[SettingsTable]] = {}
    for given in found.values():
        group = given.name.rpartition(".")[0]
        chosen = split_named(group)
        if chosen is not None and group not in kinds:
            named = NAMED[chosen[0]]
            kinds[group] = named.kind if not named.kinds else _chosen(group, named.kinds, given, found)
    return kinds


def _chosen(
    group: str, kinds: Mapping[str, type[SettingsTable]], first: Given, found: Mapping[str, Given]
) -> type[SettingsTable]:
    given = found.get(f"{group}.kind")
    words = ", ".join(f'"{word}"' for word in kinds)
    if given is None:
        raise SettingsError(f"[{group}] ({first.origin}) has no kind; add kind = ..., one of {words}.")
    if isinstance(given.value, str) and given.value in kinds:
        return kinds[given.value]
    from difflib import get_close_matches  # needed for errors only

    close = get_close_matches(str(given.value), kinds, n=1, cutoff=0.5)
    hint = f'Did you mean "{close[0]}"?' if close else f"The kinds are {words}."
    raise SettingsError(f"{group}.kind = {given.value!r} ({given.origin}) is not valid. {hint}")
