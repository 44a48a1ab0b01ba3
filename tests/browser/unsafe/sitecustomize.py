"""Python reads this at its start if the folder is in PYTHONPATH. Templates then escape nothing; tests must see it."""

from typing import Any

import jinja2

_make = jinja2.Environment.__init__


def _make_unsafe(self: jinja2.Environment, *args: Any, **options: Any) -> None:
    _make(self, *args, **{**options, "autoescape": False})


jinja2.Environment.__init__ = _make_unsafe  # type: ignore[method-assign]
