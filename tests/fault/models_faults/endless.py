"""Goes on for ever, or nearly so."""

from collections.abc import Iterator

from cog import current_scope


def run(what: str = "items") -> Iterator[str]:
    if what == "metrics":
        for number in range(20_000):
            current_scope().record_metric("numbers", number, "append")
        yield "measured"
    while what in {"items", "bytes"}:
        yield "again" if what == "items" else "x" * 100_000
