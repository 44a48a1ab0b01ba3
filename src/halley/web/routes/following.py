"""Rows: following one prediction."""

from typing import Final

from halley.web.pages import following
from halley.web.rows import Page, Row

ROWS: Final[tuple[Row, ...]] = (
    Page(name="ui.prediction.events", pattern="/ui/predictions/{prediction_id}/events", show=following.events),
    Page(name="ui.prediction.output", pattern="/ui/predictions/{prediction_id}/output", show=following.output),
)
