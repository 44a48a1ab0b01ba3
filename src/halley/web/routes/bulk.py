"""Rows: actions on many predictions."""

from typing import Final

from halley.web.pages import bulk
from halley.web.rows import Action, PageRow, Row

_FORM_BYTES: Final = 256 * 1024

ROWS: Final[tuple[Row, ...]] = (
    PageRow(name="ui.bulk", pattern=bulk.PATH, show=bulk.show, nav="Bulk actions"),
    PageRow(name="ui.bulk.new", pattern=f"{bulk.PATH}/new", show=bulk.ask),
    PageRow(name="ui.bulk.one", pattern=f"{bulk.PATH}/{{bulk_action_id}}", show=bulk.show_one),
    Action(name="ui.bulk.make", pattern=bulk.PATH, act=bulk.make, limit_bytes=_FORM_BYTES),
    Action(name="ui.bulk.stop", pattern=f"{bulk.PATH}/{{bulk_action_id}}/stop", act=bulk.stop),
)
