"""Every place that lists the statuses knows all of them: whoever adds one is led to each place by a failing line here.

Code that decides by status is one `match` that ends in `assert_never`: there mypy names the place. These are the lists
of words, which mypy cannot compare: the wire's, and those of the command line, which speaks to any server and imports
nothing of ours.
"""

import ast
from typing import get_args

import pytest

import house
from halley.api.presentation.wire.events import StatusData
from halley.api.presentation.wire.predictions import PredictionBody
from halley.cli import failures, screen, watching
from halley.cli.commands import acting
from halley.cli.commands import predictions as commands
from halley.predictions.status import TERMINAL, WITH_ERROR, Status

WORDS = {status.value for status in Status}
ENDS = {status.value for status in TERMINAL}


def test_an_error_comes_only_with_an_end() -> None:
    assert WITH_ERROR < TERMINAL


@pytest.mark.parametrize("body", [PredictionBody, StatusData])
def test_the_wire_knows_every_status(body: type) -> None:
    assert set(get_args(body.__annotations__["status"])) == WORDS


@pytest.mark.parametrize(
    ("place", "found", "wanted"),
    [
        ("cli.watching.TERMINAL", set(watching.TERMINAL), ENDS),
        ("cli.watching.STATUSES", set(watching.STATUSES), WORDS),
        ("cli.commands.predictions._STATUSES", set(commands._STATUSES), WORDS),
        ("cli.commands.acting._ENDINGS", set(acting._ENDINGS), ENDS),
        ("cli.screen._MARKS", set(screen._MARKS), WORDS),
        ("cli.screen._COLORS", set(screen._COLORS) & WORDS, ENDS),
        ("cli.failures._BY_STATUS", set(failures._BY_STATUS) & WORDS, ENDS),
    ],
)
def test_the_command_line_knows_every_status(place: str, found: set[str], wanted: set[str]) -> None:
    assert found == wanted, f"{place} lacks {wanted - found}"


def decided_elsewhere(modules: list[house.Module]) -> list[str]:
    """Comparisons with a terminal status, and sets and tables of them: a new status passes these without a word."""
    ends = {status.name for status in TERMINAL}
    return [
        f"{module.path}:{node.lineno}"
        for module in modules
        if not module.path.startswith("testing/")
        for node in module.nodes
        if isinstance(node, ast.Compare | ast.Set | ast.Dict)
        for part in (node.keys if isinstance(node, ast.Dict) else ast.iter_child_nodes(node))
        if isinstance(part, ast.Attribute) and ast.unparse(part.value) == "Status" and part.attr in ends
    ]


def test_every_decision_by_an_end_is_a_match() -> None:
    places = decided_elsewhere(house.modules())
    assert not places, f"make it a `match` that ends in assert_never, so that mypy names it: {places}"


@pytest.mark.parametrize(
    "text",
    ["row.status is Status.ABORTED", "row.status in {Status.FAILED, Status.CANCELED}", "{Status.SUCCEEDED: 1}[s]"],
)
def test_a_comparison_with_an_end_is_found(text: str) -> None:
    assert decided_elsewhere([house.Module("api/x.py", 1, ast.parse(text))])
