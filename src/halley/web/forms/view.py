"""The whole form of a page: its state from an input or from what was posted, and its sections for the template."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from halley.web.forms import names
from halley.web.forms.controls import Builder, Control, where
from halley.web.forms.drafts import BLANK, Draft, as_json, is_blank, members_of
from halley.web.forms.fields import Form
from halley.web.forms.posted import InputFault, draft_of_post, input_of, read_json
from halley.web.views.hidden import HIDDEN

VIEW: Final = "view"  # "json": the input is written as JSON
WHOLE: Final = "input"  # the input as JSON, in that view
EXTRA: Final = "extra"  # members of the input that the schema does not name


class FormState(msgspec.Struct, frozen=True, kw_only=True):
    """What a form contains."""

    drafts: dict[str, Draft] = {}
    extra: str = ""
    text: str = "{}"  # the whole input, in the JSON view
    is_json: bool = False


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Controls under one title. A section with a title and not `is_open` is folded."""

    title: str
    controls: tuple[Control, ...]
    is_open: bool = True
    is_group: bool = False


class FieldProblem(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the error summary. `anchor` is the id of its control; empty: it concerns the whole form."""

    text: str
    anchor: str = ""
    label: str = ""


class FormView(msgspec.Struct, frozen=True, kw_only=True):
    """A form as the template shows it."""

    sections: tuple[Section, ...]
    problems: tuple[FieldProblem, ...] = ()
    extra: str = ""
    has_extra: bool = False
    text: str = ""
    is_json: bool = False


def state_of_input(form: Form, value: Mapping[str, Any], *, is_json: bool = False) -> FormState:
    """The form filled in with an input. Secrets that the API hides stay empty."""
    secret = {field.name for field in form.fields if value.get(field.name) == HIDDEN}
    given = {name: member for name, member in value.items() if name not in secret}
    known = {field.name for field in form.fields}
    others = {name: member for name, member in given.items() if name not in known}
    return FormState(
        drafts=members_of(form.fields, given).members,
        extra=as_json(others).text if others else "",
        text=as_json(given).text,
        is_json=is_json,
    )


def state_of_post(form: Form, pairs: Iterable[tuple[str, str]]) -> FormState:
    """What was posted, after the pressed button did its work."""
    listed = list(pairs)
    given = dict(listed)
    top = names.read_pairs(listed)
    names.press(top, listed)
    return FormState(
        drafts=draft_of_post(form.fields, top),
        extra=_lines(given.get(EXTRA, "")),
        text=_lines(given.get(WHOLE, "{}")),
        is_json=given.get(VIEW) == "json",
    )


def is_edit(pairs: Iterable[tuple[str, str]]) -> bool:
    """Whether a button was pressed that only changes the form."""
    return any(names.is_button(name) for name, _ in pairs)


def input_from(form: Form, state: FormState) -> tuple[dict[str, Any], tuple[InputFault, ...]]:
    """The input that a form means, and what cannot be sent."""
    if state.is_json:
        return _object(state.text or "{}", ())
    value, faults = input_of(form.fields, state.drafts)
    if not state.extra.strip():
        return value, faults
    others, more = _object(state.extra, (EXTRA,))
    return others | value, (*faults, *more)


def switched(form: Form, state: FormState) -> tuple[FormState, tuple[InputFault, ...]]:
    """The same input in the other view; unchanged, with the faults, if it cannot be read."""
    value, faults = input_from(form, state)
    if faults:
        return state, faults
    return state_of_input(form, value, is_json=not state.is_json), ()


def view_of(form: Form, state: FormState, faults: Sequence[InputFault | tuple[str, str]] = ()) -> FormView:
    """The form for the template. A fault is ours, or the API's: its `field`, and what is wrong."""
    if state.is_json:
        found = [_spoken(fault) for fault in faults]
        problems = tuple(FieldProblem(text=text, label=spot, anchor="input-json") for spot, text in found)
        return FormView(sections=(), text=state.text, is_json=True, problems=problems)
    plain = Builder({})
    for field in form.fields:
        plain.control(field, state.drafts.get(field.name, BLANK), (field.name,), (field.name,))
    errors: dict[str, list[str]] = {}
    general: list[FieldProblem] = []
    for spot, text in map(_spoken, faults):
        nearest = _nearest(spot, plain.places)
        if nearest is None:
            general.append(FieldProblem(text=text, label=spot, anchor=EXTRA if spot == where((EXTRA,)) else ""))
        else:
            errors.setdefault(nearest, []).append(text)
    builder = Builder(errors)
    controls = {
        field.name: builder.control(field, state.drafts.get(field.name, BLANK), (field.name,), (field.name,))
        for field in form.fields
    }
    return FormView(
        sections=_sections(form, controls, state),
        problems=(*general, *_problems(controls.values())),
        extra=state.extra,
        has_extra=form.is_open or bool(state.extra.strip()),
        text=state.text,
    )


def _object(text: str, path: tuple[str, ...]) -> tuple[dict[str, Any], tuple[InputFault, ...]]:
    try:
        value = read_json(text)
    except ValueError as error:
        return {}, (InputFault(path=path, text=str(error)),)
    if isinstance(value, dict):
        return value, ()
    return {}, (InputFault(path=path, text="This is not a JSON object: it must begin with { and end with }."),)


def _spoken(fault: InputFault | tuple[str, str]) -> tuple[str, str]:
    return (where(fault.path), fault.text) if isinstance(fault, InputFault) else fault


def _nearest(spot: str, places: set[str]) -> str | None:
    """The place, or the nearest one that contains it."""
    while spot not in places and "." in spot:
        spot = spot.rpartition(".")[0]
    return spot if spot in places else None


def _problems(controls: Iterable[Control]) -> list[FieldProblem]:
    found = [one for control in controls for one in control.all()]
    return [FieldProblem(text=text, anchor=one.id, label=one.label) for one in found for text in one.errors]


def _sections(form: Form, controls: dict[str, Control], state: FormState) -> tuple[Section, ...]:
    """What is asked for first, then the author's groups, then the rest, folded."""
    busy = {
        name
        for name, control in controls.items()
        if not is_blank(state.drafts.get(name, BLANK)) or any(one.errors for one in control.all())
    }
    shown = [field.name for field in form.fields if field.name not in form.hidden or field.name in busy]
    grouped = {name for group in form.groups for name in group.names}
    first = [name for name in shown if name in form.first and name not in grouped]
    found = [Section(title="", controls=tuple(controls[name] for name in first))]
    placed = set(first)
    for group in form.groups:
        members = [name for name in group.names if name in shown and name not in placed]
        placed.update(members)
        is_open = any(name in form.first or name in busy for name in members)
        listed = tuple(controls[name] for name in members)
        found.append(Section(title=group.title, controls=listed, is_open=is_open, is_group=True))
    rest = [name for name in shown if name not in placed]
    title = f"{len(rest)} more input{'' if len(rest) == 1 else 's'}"
    listed = tuple(controls[name] for name in rest)
    found.append(Section(title=title, controls=listed, is_open=any(name in busy for name in rest)))
    return tuple(section for section in found if section.controls)


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
