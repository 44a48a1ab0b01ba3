"""Rows: models."""

from typing import Final

from halley.web.pages import model_tabs, models, playground
from halley.web.rows import Action, PageRow, Row

_MODEL: Final = "/ui/models/{owner}/{name}"
ROWS: Final[tuple[Row, ...]] = (
    PageRow(name="ui.models", pattern="/ui/models", show=models.show, nav="Models"),
    PageRow(name="ui.model", pattern=_MODEL, show=playground.show),
    Action(name="ui.model.run", pattern=_MODEL, act=playground.act, limit_bytes=playground.FORM_BYTES),
    Action(name="ui.model.code", pattern=f"{_MODEL}/code", act=playground.code, limit_bytes=playground.FORM_BYTES),
    PageRow(name="ui.model.api", pattern=f"{_MODEL}/api", show=model_tabs.api),
    PageRow(name="ui.model.examples", pattern=f"{_MODEL}/examples", show=model_tabs.examples),
    PageRow(name="ui.model.versions", pattern=f"{_MODEL}/versions", show=model_tabs.versions),
    PageRow(name="ui.model.runs", pattern=f"{_MODEL}/runs", show=model_tabs.runs),
    PageRow(name="ui.model.settings", pattern=f"{_MODEL}/settings", show=model_tabs.settings),
)
