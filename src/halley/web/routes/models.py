"""Rows: models."""

from typing import Final

from halley.web.pages import models
from halley.web.rows import Page, Row

ROWS: Final[tuple[Row, ...]] = (Page(name="ui.models", pattern="/ui/models", show=models.show, nav="Models"),)
