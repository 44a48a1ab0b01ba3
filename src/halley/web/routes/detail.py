"""Rows: one prediction, and pages that put several beside each other."""

from typing import Final

from halley.web.pages import comparing, gallery, grid, prediction, restoring
from halley.web.rows import Action, PageRow, Row

_ONE: Final = "/ui/predictions/{prediction_id}"

ROWS: Final[tuple[Row, ...]] = (
    PageRow(name="ui.prediction", pattern=_ONE, show=prediction.show),
    PageRow(name="ui.prediction.log", pattern=f"{_ONE}/log", show=prediction.log),
    PageRow(name="ui.prediction.with_input", pattern=f"{_ONE}/with-input/{{file_index}}", show=prediction.with_input),
    Action(name="ui.prediction.cancel", pattern=f"{_ONE}/cancel", act=prediction.cancel),
    Action(name="ui.prediction.rerun", pattern=f"{_ONE}/rerun", act=prediction.rerun),
    Action(name="ui.prediction.delete_data", pattern=f"{_ONE}/delete-data", act=prediction.delete_data),
    PageRow(name="ui.compare", pattern="/ui/compare", show=comparing.show),
    PageRow(name="ui.gallery", pattern="/ui/gallery", show=gallery.show, nav="Gallery"),
    PageRow(name="ui.grid", pattern="/ui/grid", show=grid.show_form),
    PageRow(name="ui.grid.table", pattern="/ui/grid/{tag}", show=grid.show_table),
    Action(name="ui.grid.run", pattern="/ui/grid", act=grid.post, limit_bytes=2 * 2**20),
    Action(name="ui.restore", pattern="/ui/restore", act=restoring.restore, limit_bytes=restoring.FORM_BYTES),
)
