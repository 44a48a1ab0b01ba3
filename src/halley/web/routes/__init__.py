"""The tables of the dashboard's pages and actions, one module for each subject. The order is that of the navigation."""

from typing import Final

from halley.web.routes import bulk, detail, finding, following, home, live, models, operation
from halley.web.rows import Row

ROWS: Final[tuple[Row, ...]] = (
    *home.ROWS,
    *models.ROWS,
    *finding.ROWS,
    *detail.ROWS,
    *bulk.ROWS,
    *operation.ROWS,
    *live.ROWS,
    *following.ROWS,
)
