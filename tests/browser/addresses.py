"""Which pages there are: the rows of the dashboard's table, each with addresses that its own links lead to."""

import re
from collections import defaultdict
from typing import Final
from urllib.parse import quote

from attempts import SHORT
from furnished import GRID, HOSTILE, Furnished

from halley.web.pages.prediction import TABS
from halley.web.routes import ROWS
from halley.web.rows import PageRow

PATTERNS: Final = tuple(row.pattern for row in ROWS if isinstance(row, PageRow))
MOST: Final = 2  # addresses of one pattern that are examined; the first ones are those that are chosen below
_CRAWLED: Final = 1000  # pages that are read to find addresses


def chosen(furnished: Furnished) -> list[str]:
    """What must be seen in any case: each hostile prediction, model and address."""
    attempt = quote(SHORT[0] + SHORT[1], safe="")
    found = [f"/ui/predictions/{one}" for one in furnished.predictions.values()]
    found += [f"/ui/models/{HOSTILE}", "/ui/models/wide/wide", "/ui/models/demo/paint"]
    found += [f"/ui/models/demo/sleep?prediction={furnished.predictions['running']}"]
    found += [f"/ui/predictions?error={attempt}&tag={attempt}&model={attempt}", f"/ui/errors?model={attempt}"]
    found += [f"/ui/bulk/new?action=cancel&model={HOSTILE}", f"/ui/bulk/new?action=rerun&error={attempt}"]
    first, second = furnished.predictions["texts"], furnished.predictions["json"]
    found += [f"/ui/compare?a={first}&b={second}", f"/ui/gallery?model={HOSTILE}"]
    found += [f"/ui/predictions/{furnished.predictions['texts']}?tab={tab}" for tab in (*TABS, attempt)]
    found += [f"/ui/predictions/{furnished.predictions['picture']}?tab=assets"]
    found += [
        f"/ui/grid/{GRID}?x=input.prompt&y=model",
        f"/ui/grid/{GRID}?y=model",
        f"/ui/grid?model={HOSTILE}&from={first}",
    ]
    found += [f"/ui/upstreams/unknown/{furnished.predictions['running']}/retry"]
    return [one for one in found if any(_matches(pattern, one) for pattern in PATTERNS)]


def all_addresses(furnished: Furnished) -> dict[str, list[str]]:
    """The addresses to examine, by pattern; a pattern that no page leads to has none."""
    found: dict[str, list[str]] = defaultdict(list)
    for one in chosen(furnished):
        found[_pattern(one)].append(one)
    seen, queue = {"/ui"}, ["/ui", *chosen(furnished)]
    followed: dict[str, int] = defaultdict(int)
    while queue and sum(followed.values()) < _CRAWLED:
        path = queue.pop(0)
        pattern = _pattern(path)
        if not pattern:
            continue
        if path not in found[pattern] and len(found[pattern]) < MOST:
            found[pattern].append(path)
        if followed[pattern] > MOST and path not in found[pattern]:
            continue
        followed[pattern] += 1
        for link in furnished.links(path):
            if link not in seen:
                seen.add(link)
                queue.append(link)
    return {pattern: found.get(pattern, []) for pattern in PATTERNS}


def _pattern(path: str) -> str:
    """The most literal pattern that the path matches."""
    fitting = [pattern for pattern in PATTERNS if _matches(pattern, path)]
    return min(fitting, key=lambda pattern: pattern.count("{"), default="")


def _matches(pattern: str, path: str) -> bool:
    expression = re.sub(r"\\{[^}]*\\}", "[^/?]+", re.escape(pattern))
    return re.fullmatch(expression + r"(\?.*)?", path) is not None and not path.partition("?")[0].endswith(".json")
