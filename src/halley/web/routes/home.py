"""Rows: the home page."""

from typing import Final

from halley.api.application import MISSING_PAGE
from halley.web.pages import home
from halley.web.rows import Action, PageRow, Row

ROWS: Final[tuple[Row, ...]] = (
    PageRow(name="ui.home", pattern="/ui", show=home.show, nav="Home"),
    Action(name="ui.welcome.dismiss", pattern="/ui/welcome/dismiss", act=home.dismiss),
    PageRow(name="ui.missing", pattern=MISSING_PAGE.decode(), show=home.missing),
)
