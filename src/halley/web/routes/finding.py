"""Rows: the list of predictions, and their errors in groups."""

from typing import Final

from halley.web.pages import errors, predictions
from halley.web.rows import Action, Download, PageRow, Row

ROWS: Final[tuple[Row, ...]] = (
    PageRow(name="ui.predictions", pattern="/ui/predictions", show=predictions.show, nav="Predictions"),
    Download(name="ui.predictions.csv", pattern="/ui/predictions.csv", open=predictions.save_as_csv),
    Action(name="ui.views.save", pattern="/ui/predictions/views", act=predictions.save_view),
    Action(name="ui.views.delete", pattern="/ui/predictions/views/delete", act=predictions.delete_view),
    PageRow(name="ui.errors", pattern="/ui/errors", show=errors.show, nav="Errors"),
)
