"""Every place that names the statuses knows all of them: whoever adds one is led to each place by a failing line here.

The command line speaks to any server and imports nothing of ours, so it has lists of its own.
"""

from typing import get_args

import pytest

from halley.api import repeats
from halley.api.presentation.wire.events import StatusData
from halley.api.presentation.wire.predictions import PredictionBody
from halley.api.waiting import sse
from halley.cli import failures, screen, watching
from halley.cli.commands import predictions as commands
from halley.predictions.status import TERMINAL, Status

WORDS = {status.value for status in Status}
ENDS = {status.value for status in TERMINAL}


@pytest.mark.parametrize("body", [PredictionBody, StatusData])
def test_the_wire_knows_every_status(body: type) -> None:
    assert set(get_args(body.__annotations__["status"])) == WORDS


def test_a_stream_says_how_each_end_came() -> None:
    assert set(sse._DONE) == TERMINAL


def test_the_command_line_knows_every_status() -> None:
    assert watching.TERMINAL == ENDS
    assert watching.STATUSES == WORDS
    assert set(commands._STATUSES) == WORDS
    assert set(screen._MARKS) == WORDS
    assert screen._COLORS.keys() >= ENDS
    assert set(failures._BY_STATUS) >= ENDS


def test_each_end_either_answers_a_repeated_create_or_does_not() -> None:
    """A prediction that was canceled or never ran is no answer to a create that is sent again."""
    assert repeats._GONE | {Status.SUCCEEDED, Status.FAILED} == TERMINAL
