"""Finds the files in an output: by the version's schema, otherwise by the output's values.

A model may mention a URL in its text. Only files that the model returned are fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec

from halley.cli.client import Json
from halley.cli.model_ref import ModelRef
from halley.cli.target import same_origin

_LINK: Final = re.compile(r"[a-z][a-z0-9+.-]*:\S*", re.IGNORECASE)
_VARIANTS: Final = ("anyOf", "oneOf", "allOf")
_DEPTH: Final = 64  # of references and unions in a schema; a circular one ends here


class OutputUrl(msgspec.Struct, frozen=True):
    """A URL inside an output; `pointer` is a JSON Pointer (RFC 6901)."""

    pointer: str
    url: str


class Outputs:
    """Finds the files in the outputs of one version.

    `document` is the version's OpenAPI document, if known. `root` is the server: its own delivery links are files even
    in a list with other text.
    """

    def __init__(self, document: Any = None, root: str = "") -> None:
        schemas = _member(_member(document, "components"), "schemas")
        self._schemas: Json = schemas if isinstance(schemas, dict) else {}
        self._root = root

    def find(self, output: Any) -> list[OutputUrl]:
        """Find every file of an output, in order.

        A string that is entirely a URL is a file, unless its schema says that it is text (no `format: uri`). In a list,
        all strings must be URLs: a list that mixes text and URLs is text. This server's own delivery links are files
        there, too.
        """
        found: list[OutputUrl] = []
        # a stack instead of recursion: outputs may be nested deeper than the interpreter's recursion limit
        left = [(output, self._variants({"$ref": "#/components/schemas/Output"}), "", True)]
        while left:
            value, variants, pointer, is_link = left.pop()
            if isinstance(value, str):
                if looks_like_url(value) and self._is_file(value, variants, is_link):
                    found.append(OutputUrl(pointer, value))
            elif isinstance(value, list):
                left += reversed(list(self._items(value, variants, pointer)))
            elif isinstance(value, dict):
                left += reversed(list(self._members(value, variants, pointer)))
        return found

    def _items(self, value: list[Any], variants: list[Json], pointer: str) -> Iterator[_Part]:
        lists = [one for one in variants if one.get("type") == "array"]
        if any(one.get("x-cog-array-display") == "concatenate" for one in lists):
            return
        strings = [item for item in value if isinstance(item, str)]
        are_links = all(_LINK.fullmatch(item) or item.startswith("data:") for item in strings)
        inner = [part for one in lists for part in self._variants(one.get("items"))]
        for number, item in enumerate(value):
            yield item, inner, f"{pointer}/{number}", are_links

    def _members(self, value: Json, variants: list[Json], pointer: str) -> Iterator[_Part]:
        for key, item in value.items():
            inner = [
                part
                for one in variants
                for schema in [_member(one.get("properties"), key) or one.get("additionalProperties")]
                for part in self._variants(schema)
            ]
            yield item, inner, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}", True

    def _is_file(self, text: str, variants: list[Json], is_link: bool) -> bool:
        texts = {one.get("format") == "uri" for one in variants if one.get("type") == "string"}
        if texts == {False} and not any(_says_nothing(one) for one in variants):
            return False
        return is_link or self._is_delivered(text)

    def _is_delivered(self, url: str) -> bool:
        """Whether the URL is a link of this server to a file that it stores; a model's text cannot contain a
        valid one.
        """
        return bool(self._root) and same_origin(url, self._root) and urlsplit(url).path.rpartition("/d/")[1] != ""

    def _variants(self, schema: Any) -> list[Json]:
        """Return the schemas, without references and unions, that may apply to a value."""
        result: list[Json] = []
        left = [(schema, _DEPTH)]
        while left:
            one, depth = left.pop()
            if not isinstance(one, dict) or not depth:
                continue
            name = one.get("$ref")
            if isinstance(name, str):
                left.append((self._schemas.get(name.rpartition("/")[2]), depth - 1))
                continue
            parts = [part for word in _VARIANTS for part in one.get(word) or []]
            left += [(part, depth - 1) for part in parts[:_DEPTH]]
            if not parts:
                result.append(one)
            if len(result) > _DEPTH:
                return []
        return result


_Part = tuple[Any, list[Json], str, bool]


class ReadsVersions(Protocol):
    """The method of a client that reads a version."""

    def version(self, ref: ModelRef) -> Json | None:
        """Read a version of a model; None if there is none."""
        ...


def outputs_of(client: ReadsVersions, prediction: Json, root: str) -> Outputs:
    """Return the finder for the files of this prediction; the schema is requested only if the output contains a URL."""
    plain = Outputs(None, root)
    owner, _, name = str(prediction.get("model") or "").partition("/")
    version = str(prediction.get("version") or "")
    is_id = re.fullmatch(r"[0-9a-f]{64}", version)  # other servers hide it: "hidden", "dp-..."
    if not (owner and name and is_id and plain.find(prediction.get("output"))):
        return plain
    found = client.version(ModelRef(owner=owner, name=name, version=version))
    return Outputs(_member(found, "openapi_schema"), root)


def lacks_output(prediction: Json) -> bool:
    """Whether it succeeded and has no output. Some gateways deliver the output later."""
    has_none = prediction.get("output") is None and not prediction.get("data_removed")
    return prediction.get("status") == "succeeded" and has_none


def looks_like_url(text: str) -> bool:
    """Whether the text is entirely a URL without spaces, or a data: URL."""
    if text.startswith(("http://", "https://")):
        return not any(character.isspace() for character in text)
    head, comma, _ = text[:200].partition(",")
    return text.startswith("data:") and bool(comma) and ("/" in head or head.endswith(";base64"))


def _says_nothing(schema: Json) -> bool:
    return not isinstance(schema.get("type"), str)


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None
