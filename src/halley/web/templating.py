"""Jinja's environment, loaded at the first page: most servers never show one, and it takes 2 MB."""

from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import msgspec

from halley.web.views.durations import in_words

if TYPE_CHECKING:
    import jinja2
    import markupsafe

_CONTEXTS: Final = "_contexts"  # the name under which a page keeps its contexts
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP: Final = 1024
_TEXT_LIMIT: Final = 200_000  # characters of one block; the API has the rest


class Templates:
    """The templates of pages."""

    @cached_property
    def _environment(self) -> "jinja2.Environment":
        import jinja2
        from jinja2.runtime import Context

        class NotedContext(Context):
            """Adds itself to the contexts of its page."""

            def __init__(self, environment: Any, parent: dict[str, Any], *args: Any, **more: Any) -> None:
                super().__init__(environment, parent, *args, **more)
                if (made := parent.get(_CONTEXTS)) is not None:  # a module that is kept for all pages has none
                    made.append(self)

        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("halley.web"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.context_class = NotedContext
        environment.filters.update(
            filesize=filesize,
            duration=in_words,
            seconds_between=seconds_between,
            json_text=json_text,
            cut=cut,
            with_code=with_code,
        )
        return environment

    def prepare(self, *names: str) -> None:
        """Load Jinja and these templates."""
        for name in names:
            self._environment.get_template(name)

    def render(self, name: str, values: dict[str, Any]) -> bytes:
        """A page. Values are escaped."""
        contexts: list[Any] = []
        try:
            return (
                self._environment.get_template(name).render({**values, _CONTEXTS: contexts}).encode("utf-8", "replace")
            )
        finally:
            for context in contexts:  # macros refer to them in a circle, which would keep values of megabytes for long
                context.vars.clear()
                context.parent.clear()


def filesize(size: float | None) -> str:
    """Bytes for people: 1.2 MiB."""
    if size is None:
        return ""
    at = 0
    while size >= _STEP and at < len(_UNITS) - 1:
        size, at = size / _STEP, at + 1
    return f"{size:.0f} {_UNITS[at]}" if at == 0 or size >= 100 else f"{size:.1f} {_UNITS[at]}"


def with_code(text: str) -> "markupsafe.Markup":
    """A sentence whose words in backticks are code."""
    from markupsafe import Markup  # comes with Jinja, which is loaded with the first page

    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else part for number, part in enumerate(parts)
    )


def seconds_between(start: str | None, end: str | None) -> float | None:
    """The seconds between two times of the API; None if one is missing."""
    if not start or not end:
        return None
    return (_time(end) - _time(start)).total_seconds()


def json_text(value: Any) -> str:
    """A value as indented JSON, cut if it is very long."""
    return cut(msgspec.json.format(msgspec.json.encode(value)).decode())


def cut(text: str) -> str:
    """The beginning of a long text."""
    return text if len(text) <= _TEXT_LIMIT else f"{text[:_TEXT_LIMIT]}\n... ({len(text)} characters in all)"


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
