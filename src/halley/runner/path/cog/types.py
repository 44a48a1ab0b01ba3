"""Types for the annotations of `predict`."""

from __future__ import annotations

import importlib
import io
import pathlib
import threading
from typing import Any, AsyncIterator, Iterator, Optional, TypeVar

Item = TypeVar("Item")

converting = threading.local()
"""While the runner converts an input in this thread, `admits` says which text from the caller may become a path."""


class Path(type(pathlib.Path())):  # type: ignore[misc]  # the concrete class of this system
    """A file: as an input a local copy of what the client sent, as an output a file to keep."""

    __slots__ = ()

    @classmethod
    def validate(cls, value: Any) -> Path:
        """Text or any other path as an instance of this class.

        Raises:
            ValueError: an input is being converted, and this text is not a file that was sent with it.
        """
        admits = getattr(converting, "admits", None)
        if admits is not None and isinstance(value, str) and not admits(value):
            raise ValueError("not a file that was sent with the input")
        return value if isinstance(value, cls) else cls(value)

    @classmethod
    def __get_validators__(cls) -> Iterator[Any]:
        """Called by pydantic 1 to find `validate`."""
        yield cls.validate

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        """Called by pydantic 2. Its dumps contain paths, not text: as text an output file would be lost."""
        core_schema = importlib.import_module("pydantic_core").core_schema
        as_text = core_schema.plain_serializer_function_ser_schema(str, when_used="json")
        return core_schema.no_info_plain_validator_function(cls.validate, serialization=as_text)


class File(io.IOBase):
    """An open binary file. Deprecated: use `Path`."""


class URLPath(Path):
    """For older models, which use it in type checks. Their inputs are plain `Path`s: files are local before the
    call.
    """

    __slots__ = ()


class URLFile(File):
    """The same for open files."""


class _Opaque:
    """The class of `Opaque`."""

    def __repr__(self) -> str:
        return "cog.Opaque"


Opaque = _Opaque()
"""`Annotated[T, Opaque]`: in the schema T is a JSON object, passed through unchanged."""


class Secret:
    """Text that must not be shown: printing or logging it gives stars."""

    def __init__(self, secret_value: Optional[str] = None) -> None:
        self.secret_value = secret_value

    def get_secret_value(self) -> Optional[str]:
        """The text itself."""
        return self.secret_value

    def __repr__(self) -> str:
        return "Secret(%s)" % self

    def __str__(self) -> str:
        return "**********" if self.secret_value else ""

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Secret) and other.secret_value == self.secret_value

    def __hash__(self) -> int:
        return hash(self.secret_value)


class ConcatenateIterator(Iterator[Item]):
    """Pieces of text that belong together: clients may join them."""


class AsyncConcatenateIterator(AsyncIterator[Item]):
    """The async form of `ConcatenateIterator`."""


def __getattr__(name: str) -> Any:
    return importlib.import_module("cog.retired").retired(name)
