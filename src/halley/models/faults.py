"""Describes what is wrong with an input: the first faults as text, the others as a number.

A validator makes all errors of a value at once, each with its message: for a list of a million wrong items that took
seconds and gigabytes. So where a value can have many members, the schema is split, and each member is validated
separately. A rule that cannot be split gives only its first error.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

import jsonschema_rs

from halley.errors import InvalidField

LISTED: Final = 100  # limits.listed_faults
SHOWN_CHARACTERS: Final = 300  # of a message or a field's name; a long data: URL must not fill them
_REFERENCE: Final = "#/components/schemas/"
_MANY: Final = frozenset(  # keywords that can find any number of errors in one value
    {
        "patternProperties",
        "propertyNames",
        "prefixItems",
        "dependentSchemas",
        "if",
        "then",
        "else",
        "unevaluatedItems",
        "unevaluatedProperties",
        "$dynamicRef",
    }
)
_COLLECTING: Final = ("anyOf", "oneOf")  # their single error contains the errors of each part
_LARGE: Final = 200
MakeValidator = Callable[[dict[str, Any]], jsonschema_rs.Draft202012Validator]
Path = tuple[str | int, ...]


class _Said(NamedTuple):
    """An error with our own text, because the validator's text would contain each member of a large value."""

    kind: str
    message: str
    instance_path: tuple[str | int, ...] = ()


Error = jsonschema_rs.ValidationError | _Said


class Faults:
    """Collects faults: at most `most` are kept, the others are counted."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: list[InvalidField] = []
        self._others = 0

    @property
    def is_full(self) -> bool:
        """Whether further faults are only counted."""
        return len(self._kept) >= self._most

    def __bool__(self) -> bool:
        return bool(self._kept)

    def add(self, fault: InvalidField) -> None:
        """Keep the fault if there is room, otherwise count it."""
        if self.is_full:
            self._others += 1
        else:
            self._kept.append(fault)

    def count(self, number: int = 1) -> None:
        """Count faults that are not listed."""
        self._others += number

    def all(self) -> tuple[InvalidField, ...]:
        """The kept faults; then, if there are more, one that says how many."""
        if not self._others:
            return tuple(self._kept)
        text = f"{self._others} more faults; the first {self._most} are listed (setting limits.listed_faults)"
        return (*self._kept, InvalidField(type="more", field="input", description=text))


class FaultFinder:
    """Finds the faults of values that a schema rejects."""

    def __init__(self, schemas: Mapping[str, Any], make: MakeValidator, secret_names: frozenset[str]) -> None:
        """`make` compiles a rule that may refer to `schemas`; a message about a secret does not quote its value."""
        self._schemas = schemas
        self._make = make
        self._secret_names = secret_names
        self._rules: dict[str, _Rule] = {}

    def find(self, value: Mapping[str, Any], most: int = LISTED) -> tuple[InvalidField, ...]:
        """The faults of a value that `Input` rejects; at least one."""
        found = Faults(most)
        try:
            self._look(self._named("Input"), value, (), found, frozenset())
        except ValueError:  # a part of the schema is of another kind of schema, and cannot be compiled alone
            found = Faults(most)
        if not found:
            whole = self._make({"$ref": f"{_REFERENCE}Input"})  # its parts are not compiled alone
            self._add(_first_error(whole, value), (), found)
        return found.all()

    def _look(self, rule: "_Rule", value: Any, path: Path, found: Faults, seen: frozenset[str]) -> None:
        """`seen` are the references that led to this rule at this place."""
        for error in rule.own_errors(value):
            self._add(error, path, found)
        for part in rule.parts:
            self._look(part, value, path, found, seen)
        name = rule.reference
        if name is not None and name not in seen:
            self._look(self._named(name), value, path, found, seen | {name})
        if isinstance(value, list) and rule.items is not None:
            for index, item in enumerate(value):
                self._look_below(rule.items, item, (*path, index), found)
        elif isinstance(value, dict):
            for key, member in value.items():
                below = rule.members.get(key, rule.others)
                if below is not None:
                    self._look_below(below, member, (*path, key), found)

    def _look_below(self, rule: "_Rule", value: Any, path: Path, found: Faults) -> None:
        if rule.whole.is_valid(value):
            return
        if found.is_full:
            found.count()
        else:
            self._look(rule, value, path, found, frozenset())

    def _named(self, name: str) -> "_Rule":
        rule = self._rules.get(name)
        if rule is None:
            rule = self._rules[name] = _Rule(self._schemas[name], self._make, self._schemas)
        return rule

    def _add(self, error: Error | None, path: Path, found: Faults) -> None:
        if error is not None and not found.is_full:
            found.add(_fault(error, path, self._secret_names))
        elif error is not None:
            found.count()


class _Rule:
    """One rule of a schema, split into its parts. Validators are compiled at first use."""

    def __init__(self, rule: Any, make: MakeValidator, schemas: Mapping[str, Any]) -> None:
        self._make = make
        self._rule: dict[str, Any] = dict(rule) if isinstance(rule, dict) else {"allOf": [rule]}
        own = dict(self._rule)
        self._gives_many = not _MANY.isdisjoint(own)
        self._collects = [word for word in own if word in _COLLECTING or word in _MANY]
        self.reference: str | None = None
        self.parts: Sequence[_Rule] = ()
        self.items: _Rule | None = None
        self.members: Mapping[str, _Rule] = {}
        self.others: _Rule | None = None
        if not self._gives_many and isinstance(rule, dict):
            self._divide(own, schemas)
        self._own = own

    def _divide(self, own: dict[str, Any], schemas: Mapping[str, Any]) -> None:
        name = str(own.get("$ref", "")).removeprefix(_REFERENCE)
        if name in schemas:
            self.reference = name
            del own["$ref"]
        if isinstance(own.get("allOf"), list):
            self.parts = [self._below(part, schemas) for part in own.pop("allOf")]
        if isinstance(own.get("items"), dict):
            self.items = self._below(own.pop("items"), schemas)
        members = own.get("properties")
        if isinstance(members, dict):
            self.members = {key: self._below(member, schemas) for key, member in members.items()}
            own["properties"] = dict.fromkeys(members, True)  # `additionalProperties` must know the declared names
        if isinstance(own.get("additionalProperties"), dict):
            self.others = self._below(own.pop("additionalProperties"), schemas)

    def _below(self, rule: Any, schemas: Mapping[str, Any]) -> "_Rule":
        return _Rule(rule, self._make, schemas)

    @cached_property
    def whole(self) -> jsonschema_rs.Draft202012Validator:
        """Validates the whole rule."""
        return self._make(self._rule)

    @cached_property
    def _own_validator(self) -> jsonschema_rs.Draft202012Validator:
        return self._make(self._own)

    def own_errors(self, value: Any) -> Sequence[Error]:
        """Errors of the value itself, without those of its members."""
        if self._own_validator.is_valid(value):
            return ()
        if self._collects and _is_large(value):
            word = self._collects[0]
            return (_Said(word, f"the value matches none of the schemas in the keyword {word!r}"),)
        if self._gives_many:
            error = _first_error(self.whole, value)
            return () if error is None else (error,)
        return list(self._own_validator.iter_errors(value))


def _first_error(validator: jsonschema_rs.Draft202012Validator, value: Any) -> jsonschema_rs.ValidationError | None:
    """The first error of the value; None if there is none."""
    try:
        validator.validate(value)
    except jsonschema_rs.ValidationError as error:
        return error
    return None


def _is_large(value: Any) -> bool:
    """Whether the value has more than a few members, at all levels."""
    seen, waiting = 0, [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list | dict):
            seen += len(node)
            if seen > _LARGE:
                return True
            waiting.extend(node.values() if isinstance(node, dict) else node)
    return False


def short(message: str, limit: int = SHOWN_CHARACTERS) -> str:
    """The message without its middle if it is long."""
    return message if len(message) <= limit else f"{message[: limit // 2]} ... {message[-limit // 2 :]}"


def field_at(path: Sequence[str | int]) -> str:
    """The name of a place in the input, as used in faults."""
    return short(".".join(["input", *map(str, path)]))


def _fault(error: Error, path: Path, secret_names: frozenset[str]) -> InvalidField:
    kind = str(error.kind.name) if hasattr(error.kind, "name") else str(error.kind)
    path = (*path, *error.instance_path)
    message = str(error.message)
    if kind == "required":
        name = getattr(error.kind, "property", None) or message.split('"')[1]
        return InvalidField(type="required", field=field_at(path), description=f"{short(name)} is required")
    if path and path[0] in secret_names:  # its message quotes the value
        return InvalidField(type=kind, field=field_at(path), description=f"breaks the rule {kind!r}")
    return InvalidField(type=kind, field=field_at(path), description=short(message))
