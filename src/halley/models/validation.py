"""Checks an input against a version's schema and reports all faults, in the contract's wording (section 4).

The schema comes from a model, so it is not trusted: references stay inside the document, and patterns run on an engine
without backtracking.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any, Final

import jsonschema_rs
import msgspec

from halley.errors import InvalidField, Unusable
from halley.models.faults import LISTED, FaultFinder, Faults, field_at, short
from halley.models.reachable import reachable
from halley.models.recursion import without_double_recursion
from halley.strict_json import is_deeper

SCHEMA_DEPTH: Final = 100  # each level of an input takes two or three levels
# of a version without a schema at its place
UNCHECKED: Final = (
    b'{"openapi":"3.0.2","info":{"title":"Inputs are not checked","version":"0"},"paths":{},"components":{"schemas":'
    b'{"Input":{"title":"Input","type":"object","additionalProperties":true,"properties":{}},'
    b'"Output":{"title":"Output"}}}}'
)
REDACTED: Final = "[REDACTED]"  # contract section 6.2, secret inputs


class InputSchema:
    """The compiled input schema of one version."""

    def __init__(self, document: bytes) -> None:
        """Compile `components.schemas.Input` of an OpenAPI document.

        Raises:
            Unusable: the document has no usable input schema, or its `Output` is no schema at all.
        """
        if is_deeper(document, SCHEMA_DEPTH):
            raise Unusable(f"the model's OpenAPI document is nested more than {SCHEMA_DEPTH} deep")
        try:
            schemas: dict[str, Any] = msgspec.json.decode(document)["components"]["schemas"]
            properties = schemas["Input"].get("properties", {})
            rules = without_double_recursion(_json_schema(reachable(schemas)))
            make = partial(_compiled, rules)
            self._validator = make({"$ref": "#/components/schemas/Input"})
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise Unusable(f"the model's OpenAPI document has no usable Input schema: {error}") from error
        if not isinstance(schemas.get("Output", {}), dict):  # its readers, clients among them, look for members
            raise Unusable("the Output of the model's OpenAPI document is not an object")
        self.names: Final = frozenset(properties)
        self._is_open = schemas["Input"].get("additionalProperties") is True
        # a list of secrets is a secret, too, and so is an object that contains one
        self.secret_names: Final = frozenset(
            name for name, rule in properties.items() if _holds(rule, schemas, set(), _is_secret)
        )
        self._finder = FaultFinder(rules, make, self.secret_names)

    def is_plain(self, value: Mapping[str, Any]) -> bool:
        """Whether the input is valid, has no unknown members, and no secrets."""
        return (
            self._validator.is_valid(value)
            and (self._is_open or self.names.issuperset(value))
            and self.secret_names.isdisjoint(value)
        )

    def faults(self, value: Mapping[str, Any], most: int = LISTED) -> tuple[InvalidField, ...]:
        """What is wrong with the input: at most `most` faults, and how many more; empty if it is valid."""
        return () if self._validator.is_valid(value) else self._finder.find(value, most)

    def unknown_names(self, value: Mapping[str, Any]) -> list[str]:
        """Members that are not in the schema. They are ignored by default (contract D21)."""
        if self._is_open or self.names.issuperset(value):
            return []
        return [name for name in value if name not in self.names]

    @staticmethod
    def unknown_faults(names: list[str], most: int = LISTED) -> tuple[InvalidField, ...]:
        """Unknown members as faults, for servers that refuse them."""
        found = Faults(most)
        for name in names[:most]:
            text = f"there is no input {short(name)}"
            found.add(InvalidField(type="unknown_input", field=field_at([name]), description=text))
        found.count(len(names[most:]))
        return found.all()

    def redacted(self, value: Mapping[str, Any]) -> dict[str, Any] | None:
        """The input with its secrets replaced, or None if it contains no secret."""
        if self.secret_names.isdisjoint(value):
            return None
        return {name: REDACTED if name in self.secret_names else member for name, member in value.items()}


class AnyInput:
    """Replaces the schema of a version without a schema yet: all inputs are accepted, and checked later.

    It is not known which texts are secrets either, so none is shown.
    """

    def is_plain(self, value: Mapping[str, Any]) -> bool:
        return self.redacted(value) is None

    def faults(self, value: Mapping[str, Any], most: int = LISTED) -> tuple[InvalidField, ...]:  # noqa: ARG002
        return ()

    def unknown_names(self, value: Mapping[str, Any]) -> list[str]:  # noqa: ARG002
        return []

    def unknown_faults(self, names: list[str], most: int = LISTED) -> tuple[InvalidField, ...]:  # noqa: ARG002
        return ()

    def redacted(self, value: Mapping[str, Any]) -> dict[str, Any] | None:
        hidden: dict[str, Any] = _without_texts(value)
        return None if hidden == value else hidden


def uses_files(document: bytes) -> bool:
    """Whether input or output of a version can be files (`format: uri`), or the output could be anything."""
    schemas = msgspec.json.decode(document).get("components", {}).get("schemas", {})
    output = schemas.get("Output", {})
    if not output.keys() & {"type", "allOf", "anyOf", "$ref"}:
        return True
    return any(_holds(rule, schemas, set(), _is_file) for rule in (schemas.get("Input", {}), output))


def _without_texts(value: Any) -> Any:
    if isinstance(value, str):
        return REDACTED
    if isinstance(value, list):
        return [_without_texts(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _without_texts(member) for name, member in value.items()}
    return value


def _compiled(schemas: Any, rule: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        {**rule, "components": {"schemas": schemas}},
        pattern_options=jsonschema_rs.RegexOptions(),
        retriever=_no_retrieval,
    )


def _no_retrieval(reference: str) -> Any:
    # the library would fetch it: a schema must not make this server send requests
    raise ValueError(f"the reference {reference} leaves the document")


def _is_secret(rule: Mapping[str, Any]) -> bool:
    return bool(rule.get("x-cog-secret"))


def _is_file(rule: Mapping[str, Any]) -> bool:
    return rule.get("format") == "uri"


def _holds(rule: Any, schemas: Mapping[str, Any], seen: set[str], is_it: Callable[[Mapping[str, Any]], bool]) -> bool:
    """Whether a value of this rule can be or contain one that `is_it` accepts; references are followed, each once."""
    if isinstance(rule, list):
        return any(_holds(item, schemas, seen, is_it) for item in rule)
    if not isinstance(rule, dict):
        return False
    if is_it(rule):
        return True
    name = str(rule.get("$ref", "")).removeprefix("#/components/schemas/")
    if name in schemas and name not in seen:
        seen.add(name)
        if _holds(schemas[name], schemas, seen, is_it):
            return True
    return any(_holds(item, schemas, seen, is_it) for item in rule.values())


@lru_cache(maxsize=1000)
def _is_for_runner(pattern: str) -> bool:
    """Whether Python accepts the pattern, and our linear-time engine does not."""
    try:
        jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=jsonschema_rs.RegexOptions())
    except ValueError:
        with suppress(re.error, RecursionError, OverflowError):
            re.compile(pattern)  # only compiled here; it is applied in the model's process
            return True
    return False


def _json_schema(node: Any) -> Any:
    """Translate OpenAPI 3.0's `nullable` to JSON Schema; members with `default: null` need it to be valid."""
    if isinstance(node, list):
        return [_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    # descriptions are left out: an `example` may look like a schema
    schema = {key: _json_schema(item) for key, item in node.items() if key not in {"example", "examples", "default"}}
    if isinstance(schema.get("pattern"), str) and _is_for_runner(schema["pattern"]):
        del schema["pattern"]
    if schema.pop("nullable", False) is not True:
        return schema
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}  # its message is clearer than that of anyOf
    return {"anyOf": [schema, {"type": "null"}]}
