"""Reads `x-halley.form` of a `cog.yaml`: how the model's inputs are arranged in a form.

It becomes the member `x-halley-form` of the version's OpenAPI document, so it is part of the version, and clients that
do not know it are not disturbed. Which names are inputs is known when the model has been inspected (`form_faults`).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from halley.errors import HalleyError, Unusable
from halley.models.validation import InputSchema

FORM_KEYS: Final = ("order", "groups", "labels", "help", "hidden", "examples")
MEMBER: Final = "x-halley-form"
_EXAMPLE_KEYS: Final = {"title", "input"}


class FormTable:
    """The table as written. `wrong` makes an error of a key and of what it must be."""

    def __init__(self, table: Any, wrong: Callable[[str, str], Unusable]) -> None:
        self._wrong = wrong
        if not isinstance(table, dict):
            raise wrong("x-halley.form", f"a table with {', '.join(FORM_KEYS)}")
        self._table: dict[str, Any] = table

    def read(self) -> dict[str, Any]:
        """What is there, checked.

        Raises:
            Unusable: a value has the wrong type; names the key and the line.
        """
        found = {
            "order": self._names("order"),
            "groups": self._groups(),
            "labels": self._texts("labels"),
            "help": self._texts("help"),
            "hidden": self._names("hidden"),
            "examples": self._examples(),
        }
        return {key: value for key, value in found.items() if value}

    def _names(self, key: str) -> list[str]:
        value = self._table.get(key)
        if value is None:
            return []
        if not _are_texts(value):
            raise self._wrong(f"x-halley.form.{key}", "a list of names of inputs")
        return list(value)

    def _texts(self, key: str) -> dict[str, str]:
        value = self._table.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict) or not _are_texts([*value, *value.values()]):
            raise self._wrong(f"x-halley.form.{key}", "a table of names of inputs and texts")
        return value

    def _groups(self) -> dict[str, list[str]]:
        value = self._table.get("groups")
        if value is None:
            return {}
        if not isinstance(value, dict) or not _are_texts(list(value)) or not all(map(_are_texts, value.values())):
            raise self._wrong("x-halley.form.groups", "a table of titles, each with a list of names of inputs")
        return value

    def _examples(self) -> list[dict[str, Any]]:
        value = self._table.get("examples")
        if value is None:
            return []
        if not isinstance(value, list) or not all(map(_is_example, value)):
            raise self._wrong("x-halley.form.examples", "a list of tables with `input`, and `title` if it has one")
        return value


def with_form(document: bytes, form: Mapping[str, Any] | None) -> bytes:
    """The OpenAPI document with the form; unchanged if there is none."""
    if form is None:
        return document
    return msgspec.json.encode({**msgspec.json.decode(document), MEMBER: form})


def form_faults(document: bytes) -> list[str]:
    """What is wrong in the form of a document: names that are no inputs, and examples that are not valid."""
    whole = msgspec.json.decode(document)
    form = whole.get(MEMBER)
    if not isinstance(form, dict):
        return []
    inputs = [*(whole["components"]["schemas"]["Input"].get("properties") or ())]
    found = [_unknown(place, name, inputs) for place, name in _named(form) if name not in inputs]
    return [*found, *_wrong_examples(form, document)]


def _named(form: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for key in ("order", "hidden", "labels", "help"):
        yield from ((key, name) for name in form.get(key, ()))
    for title, names in form.get("groups", {}).items():
        yield from ((f"groups.{title}", name) for name in names)


def _unknown(place: str, name: str, inputs: list[str]) -> str:
    from difflib import get_close_matches  # needed for warnings only

    close = get_close_matches(name, inputs, n=1)
    hint = f" Did you mean `{close[0]}`?" if close else ""
    return f"cog.yaml: `x-halley.form.{place}` names {name}, which is not an input.{hint}"


def _wrong_examples(form: Mapping[str, Any], document: bytes) -> Iterable[str]:
    examples = form.get("examples", ())
    if not examples:
        return
    try:
        schema = InputSchema(document)
    except HalleyError:  # reported elsewhere
        return
    for number, one in enumerate(examples, start=1):
        faults = [f"{fault.field}: {fault.description}" for fault in schema.faults(one["input"], most=3)]
        faults += [f"there is no input {name}" for name in schema.unknown_names(one["input"])]
        if faults:
            yield f"cog.yaml: `x-halley.form.examples`: example {number} is not a valid input: {'; '.join(faults)}"


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_example(value: Any) -> bool:
    if not isinstance(value, dict) or not _EXAMPLE_KEYS.issuperset(value) or not isinstance(value.get("input"), dict):
        return False
    return isinstance(value.get("title", ""), str) and _is_json(value["input"])


def _is_json(value: Any) -> bool:
    """Whether JSON has it: YAML reads some texts as dates, and keys as numbers."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(member) for key, member in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    return value is None or isinstance(value, str | int | float)
