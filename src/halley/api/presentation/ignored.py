"""Counts the members of creates that Halley ignores, by name, so that the operator can see what has no effect.

Source: contract section 17, D9.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from halley.api.presentation.wire.predictions import CreateModelPrediction, CreatePrediction

_KNOWN: Final = frozenset(CreatePrediction.__struct_fields__)
_KNOWN_BESIDE_A_PATH: Final = frozenset(CreateModelPrediction.__struct_fields__)
_MOST_NAMES: Final = 64
_NAME_CHARACTERS: Final = 64
OTHERS: Final = "(others)"


class IgnoredMembers:
    """Counts by name. Clients choose the names, so only some are counted separately, and long ones are shortened."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def note(self, members: Mapping[str, object], *, path_names_model: bool) -> None:
        """Count the members of a create's body that are ignored."""
        known = _KNOWN_BESIDE_A_PATH if path_names_model else _KNOWN
        if not members.keys() <= known:
            self._count(members.keys() - known)

    def counts(self) -> dict[str, int]:
        """How many creates had each of them; later names are counted as `OTHERS`."""
        return dict(self._counts)

    def _count(self, names: Iterable[str]) -> None:
        for name in names:
            shown = name[:_NAME_CHARACTERS]
            if shown not in self._counts and len(self._counts) >= _MOST_NAMES:
                shown = OTHERS
            self._counts[shown] = self._counts.get(shown, 0) + 1
