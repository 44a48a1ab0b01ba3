"""What pages say about predictions that did not succeed."""

import tomllib
from pathlib import Path

from halley.web.views.causes import CAUSES

MEANINGS = Path(__file__).parents[3] / "docs/reference/meanings.toml"


def test_each_reason_of_the_manual_has_advice() -> None:
    reasons = tomllib.loads(MEANINGS.read_text())["reason"]
    never_seen = {name for name, text in reasons.items() if "no prediction ends with this reason" in text}
    assert set(reasons) - never_seen == set(CAUSES)
