"""Rows: the event stream of live pages."""

from typing import Final

from halley.web.pages import live
from halley.web.rows import LiveStream, Row

ROWS: Final[tuple[Row, ...]] = (LiveStream(name="ui.live", pattern="/ui/live", open=live.follow),)
