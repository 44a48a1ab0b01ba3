"""Style sheets and scripts of any page are at most 20 KB on the line."""

import re
from importlib.resources import files
from pathlib import Path
from typing import Final

from halley.web.assets import Assets

LIMIT_BYTES: Final = 20_000
FOLDER: Final = Path(str(files("halley.web").joinpath("templates")))
TEMPLATES: Final = {str(path.relative_to(FOLDER)): path.read_text() for path in sorted(FOLDER.rglob("*.html"))}
_USED: Final = re.compile(r"""{%-?\s*(?:extends|import|include|from)\s+"([^"]+)\"""")
_ASSET: Final = re.compile(r"""asset\("([^"]+\.(?:css|js))"\)""")


def assets_of(template: str) -> set[str]:
    """What a template loads, with those that it is made of."""
    seen: set[str] = set()
    left = [template]
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            # a folder stands for any of its files
            left += [one for used in _USED.findall(TEMPLATES[name]) for one in TEMPLATES if one.startswith(used)]
    return {asset for name in seen for asset in _ASSET.findall(TEMPLATES[name])}


def test_every_page_is_light() -> None:
    assets = Assets()
    weights = {name: sum(map(assets.gzipped_bytes, assets_of(name))) for name in TEMPLATES}
    assert {name: weight for name, weight in weights.items() if weight > LIMIT_BYTES} == {}
    assert {"app.css", "app.js", "run.js", "play.js", "forms.css"} <= assets_of("model_playground.html")
