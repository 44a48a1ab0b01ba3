"""Rows: following one prediction, and using its files."""

from typing import Final

from halley.web.pages import following, using
from halley.web.rows import Download, PageRow, Row

ROWS: Final[tuple[Row, ...]] = (
    PageRow(name="ui.prediction.events", pattern="/ui/predictions/{prediction_id}/events", show=following.events),
    PageRow(name="ui.prediction.output", pattern="/ui/predictions/{prediction_id}/output", show=following.output),
    Download(name="ui.file", pattern="/ui/d/{capability}/{file_name}", open=following.file),
    PageRow(name="ui.use", pattern="/ui/use", show=using.show),
)
