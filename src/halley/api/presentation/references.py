"""Documents that every client can read: references lead one level deep, and never in a circle.

A Cog server describes a recursive class by references in a circle, in which the Python 2 client's `use()` never ends;
it refuses references that lead into a schema. Source: contract section 10.2. Schemas that Halley makes have neither.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, Final

import msgspec

_PREFIX: Final = "#/components/schemas/"
_FIRST: Final = ("Input", "Output")  # clients read these: what is cut should be far below them
_NO_CUTS: Final[frozenset[str]] = frozenset()


class ReadableSchemas:
    """Rewrites documents, and remembers by digest which ones need no change and the newest rewritten ones."""

    def __init__(self, *, most_unchanged: int = 10_000, rewritten_bytes: int = 4 * 1024 * 1024) -> None:
        self._most_unchanged = most_unchanged
        self._rewritten_bytes = rewritten_bytes
        self._unchanged: set[bytes] = set()
        self._rewritten: dict[bytes, bytes] = {}

    @property
    def held_bytes(self) -> int:
        """The size of the rewritten documents that are kept."""
        return sum(map(len, tuple(self._rewritten.values())))

    @property
    def unchanged_count(self) -> int:
        """How many documents are known to need no change."""
        return len(self._unchanged)

    def readable(self, document: bytes) -> bytes:
        """The same document if clients can read it; otherwise one in which the references to cut accept everything."""
        if b"$ref" not in document:
            return document
        digest = sha256(document).digest()
        if digest in self._unchanged:
            return document
        known = self._rewritten.get(digest)
        if known is not None:
            return known
        made = _rewritten(document)
        if made is document:
            if len(self._unchanged) >= self._most_unchanged:
                self._unchanged.clear()
            self._unchanged.add(digest)
        elif len(made) <= self._rewritten_bytes:
            if self.held_bytes + len(made) > self._rewritten_bytes:
                self._rewritten.clear()
            self._rewritten[digest] = made
        return made


readable: Final = ReadableSchemas().readable


def _rewritten(document: bytes) -> bytes:
    """The document without references in a circle or into a schema; itself if it has none, or no schemas.

    References to schemas that do not exist stay: clients leave them as they are.
    """
    try:
        found = msgspec.json.decode(document)
        schemas = found["components"]["schemas"]
        links = {name: frozenset(_names(rule)) for name, rule in schemas.items()}
    except (KeyError, TypeError, AttributeError, msgspec.DecodeError):
        return document
    circles = _circles(links)
    if not circles and not any("/" in name for name in _names(found)):
        return document
    rewritten = {name: _without(rule, circles.get(name, _NO_CUTS)) for name, rule in schemas.items()}
    components = {**_members_without(found["components"]), "schemas": rewritten}
    return msgspec.json.encode({**_members_without(found), "components": components})


def _members_without(node: Mapping[str, Any]) -> dict[str, Any]:
    """The members, each without references into a schema; the node stays, even if it is such a reference itself."""
    return {key: _without(item, _NO_CUTS) for key, item in node.items()}


def _names(node: Any) -> Iterator[str]:
    """What the references below a node name, after the prefix."""
    if isinstance(node, list):
        for item in node:
            yield from _names(item)
    elif isinstance(node, dict):
        reference = node.get("$ref")
        if isinstance(reference, str) and reference.startswith(_PREFIX):
            yield reference.removeprefix(_PREFIX)
        for item in node.values():
            yield from _names(item)


def _circles(links: Mapping[str, frozenset[str]]) -> dict[str, set[str]]:
    """References without which there is no circle: by schema, the schemas that it must not name."""
    cut: dict[str, set[str]] = {}
    done: set[str] = set()
    for start in (*(name for name in _FIRST if name in links), *links):
        if start in done:
            continue
        way = {start: iter(sorted(links[start]))}  # from the start to here, with what is left to look at
        while way:
            here = next(reversed(way))
            for name in way[here]:
                if name in way:
                    cut.setdefault(here, set()).add(name)
                elif name in links and name not in done:
                    way[name] = iter(sorted(links[name]))
                    break
            else:
                del way[here]
                done.add(here)
    return cut


def _without(node: Any, names: frozenset[str] | set[str]) -> Any:
    """The node without references to these schemas, or into a schema."""
    if isinstance(node, list):
        return [_without(item, names) for item in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("$ref")
    if isinstance(reference, str) and reference.startswith(_PREFIX):
        name = reference.removeprefix(_PREFIX)
        if name in names or "/" in name:
            return {}
    return {key: _without(item, names) for key, item in node.items()}
