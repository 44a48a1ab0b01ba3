"""Templates: texts with names in braces, which are replaced by values. There are no expressions.

`{{` and `}}` stand for braces. A text that is only a name, such as "{input.seconds}", stands for the value itself, with
its type; in any other text the value is written as text. A template whose name has no value has no value either, and
the member with it is left out.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from halley.providers.http_job.faults import Unsendable, meant

MOST_NAMES: Final = 50  # in one text
_PIECE: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")

Values = Mapping[str, Any]
"""The values of names: `input` and `value` are objects, the others are single values."""


class JobFile:
    """A file of an input, for a part of a form. Not a msgspec struct, so that it is not encoded as JSON by mistake."""

    def __init__(self, *, path: Path, name: str, content_type: str) -> None:
        self.path: Final = path
        self.name: Final = name
        self.content_type: Final = content_type


class Name(msgspec.Struct, frozen=True):
    """`{root}` or `{root.member}`."""

    root: str
    member: str | None = None

    def __str__(self) -> str:
        return self.root if self.member is None else f"{self.root}.{self.member}"

    def find(self, values: Values) -> Any:
        """Its value; None if it has none, or null."""
        found = values.get(self.root)
        if self.member is None:
            return found
        return found.get(self.member) if isinstance(found, Mapping) else None


class Template(msgspec.Struct, frozen=True):
    """A text of parts: text, and names."""

    parts: tuple[str | Name, ...]

    @property
    def names(self) -> Iterator[Name]:
        """All names in it, in order."""
        return (part for part in self.parts if isinstance(part, Name))

    def value(self, values: Values) -> Any:
        """Its value; None if a name has no value."""
        if len(self.parts) == 1 and isinstance(only := self.parts[0], Name):
            return only.find(values)
        return self.text(values)

    def text(self, values: Values, escape: Callable[[Name, str], str] | None = None) -> str | None:
        """The text, in which each value was written by `escape`, if given; None if a name has no value.

        Raises:
            Unsendable: a file cannot be part of a text.
        """
        pieces = []
        for part in self.parts:
            if isinstance(part, str):
                pieces.append(part)
                continue
            found = part.find(values)
            if found is None:
                return None
            text = as_text(found)
            pieces.append(text if escape is None else escape(part, text))
        return "".join(pieces)


def parse_template(text: str, known: Mapping[str, Sequence[str] | None]) -> Template:
    """`known` maps the roots of names to their members; () if the name has none, None if any may exist.

    Raises:
        ValueError: a single brace, or an unknown name; the message suggests the most similar one.
    """
    parts: list[str | Name] = []
    for piece in _PIECE.finditer(text):
        found = piece.group()
        if found in ("{", "}"):
            raise ValueError(f"{text!r} has a single {found}; names stand in braces, and {found * 2} is a brace.")
        if piece[1] is not None:
            parts.append(_name(piece[1], known))
            continue
        plain = {"{{": "{", "}}": "}"}.get(found, found)
        if parts and isinstance(parts[-1], str):
            parts[-1] += plain
        else:
            parts.append(plain)
    if sum(isinstance(part, Name) for part in parts) > MOST_NAMES:
        raise ValueError(f"it has more than {MOST_NAMES} names.")
    return Template(tuple(parts))


def as_text(value: Any) -> str:
    """A value as part of a text: a text as it is, anything else as JSON.

    Raises:
        Unsendable: it is a file, which has no text.
    """
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value, enc_hook=refuse_file).decode()


def refuse_file(value: Any) -> Any:
    """Raises:
    Unsendable: a file would be encoded as JSON.
    """
    if isinstance(value, JobFile):
        raise Unsendable("a file can only be a member of a multipart body")
    raise NotImplementedError


def _name(text: str, known: Mapping[str, Sequence[str] | None]) -> Name:
    root, dot, member = text.partition(".")
    members = known.get(root, ())
    if root not in known or (not dot and root not in _WHOLE):
        listed = [name for one in known for name in _listed(one, known[one])]
        raise ValueError(f"there is no {{{text}}} here. {meant(text, listed)}")
    if not dot:
        return Name(root)
    if members is not None and member not in members:
        wanted = meant(member, members)
        raise ValueError(f"there is no {{{text}}}: {root} has no member {member!r}. {wanted}")
    return Name(root, member)


_WHOLE: Final = frozenset({"input", "id", "output", "cursor"})  # names that may be used without a member


def _listed(root: str, members: Sequence[str] | None) -> Iterator[str]:
    if root in _WHOLE:
        yield root
    yield from (f"{root}.{member}" for member in members or ())
