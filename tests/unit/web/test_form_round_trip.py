"""For every schema and every input: what a browser posts from the rendered form is that input again."""

import json
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import jinja2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from halley.web.forms.names import name_of, split_name
from halley.web.forms.schema import read_form
from halley.web.forms.view import input_from, state_of_input, state_of_post, switched, view_of
from html_form import HtmlForm

_TEMPLATES: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("halley.web"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
_BODY: Final = _TEMPLATES.from_string("{% import 'forms.html' as forms %}<form>{{ forms.form_body(view) }}</form>")

_TEXT: Final = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8) | st.sampled_from(
    ["a\nb", "\na", "a\r\nb", "\r", "</textarea>", '"><script>', "\u202eabc", " ", "null", "true", "1.0", "http://x/y"]
)
_NAMES: Final = _TEXT | st.sampled_from(
    ["__proto__", "</script>", "a.b", "", "constructor", "input", "a%2Eb", "a b", "0", "a", "\u202e", "prompt"]
)
_NUMBERS: Final = (
    st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, 1, 1.0, -0.0, 1e300])
)
_VALUES: Final = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=6,
)


def schemas() -> st.SearchStrategy[tuple[dict[str, Any], st.SearchStrategy[Any]]]:
    """Schemas, each with a strategy for its valid values."""
    leaves = st.one_of(
        st.sampled_from([{}, {"format": "uri"}, {"format": "password"}, {"maxLength": 100}, {"format": "unknown"}]).map(
            lambda more: ({"type": "string", **more}, _TEXT)
        ),
        st.just(({"type": "string", "format": "date"}, st.dates().map(str) | _TEXT)),
        st.just(({"type": "string", "format": "date-time"}, _times() | _TEXT)),
        st.just(({"type": "integer", "minimum": -5, "default": 3}, st.integers(-(2**63), 2**64 - 1) | st.just(1.0))),
        st.just(({"type": "number"}, _NUMBERS)),
        st.just(({"type": "boolean", "default": True}, st.booleans())),
        st.lists(_VALUES, min_size=1, max_size=4).map(lambda values: ({"enum": values}, st.sampled_from(values))),
        st.just(({}, _VALUES)),
        st.just(({"type": "object"}, st.dictionaries(_NAMES, _VALUES, max_size=2))),
    )
    return st.recursive(leaves, _larger, max_leaves=5)


def _times() -> st.SearchStrategy[str]:
    ends = st.sampled_from(["Z", "", ":00Z", ":31Z", ":00.5Z", "+01:00", ":61Z"])
    return st.builds(lambda day, end: f"{day}T10:20{end}", st.dates(), ends)


def _larger(inner: Any) -> Any:
    return st.one_of(
        inner.map(lambda one: ({"type": "array", "items": one[0]}, st.lists(one[1], max_size=3))),
        inner.map(lambda one: ({**one[0], "nullable": True}, st.none() | one[1])),
        inner.map(lambda one: ({"anyOf": [one[0], {"type": "null"}]}, st.none() | one[1])),
        inner.map(lambda one: ({"allOf": [one[0]], "title": "T", "description": "D"}, one[1])),
        inner.map(
            lambda one: (
                {"type": "object", "additionalProperties": one[0]},
                st.dictionaries(_NAMES, one[1], max_size=3),
            )
        ),
        st.lists(inner, min_size=2, max_size=3).map(
            lambda parts: ({"anyOf": [part[0] for part in parts]}, st.one_of(*[part[1] for part in parts]))
        ),
        objects(inner),
    )


def objects(inner: Any) -> Any:
    """Schemas of objects, with values that have all that is required."""

    def build(members: dict[str, Any], required: set[str]) -> Any:
        needed = {name: members[name][1] for name in members if name in required}
        others = {name: members[name][1] for name in members if name not in required}
        schema = {"type": "object", "properties": {name: one[0] for name, one in members.items()}}
        return ({**schema, "required": sorted(needed)}, st.fixed_dictionaries(needed, optional=others))

    return st.dictionaries(_NAMES, inner, max_size=4).flatmap(
        lambda members: st.sets(st.sampled_from(sorted(members)) if members else st.nothing()).map(
            lambda required: build(members, required)
        )
    )


def document(schema: Any, **more: Any) -> dict[str, Any]:
    return {"components": {"schemas": {"Input": schema}}, **more}


def page_of(form: Any, state: Any, faults: Any = ()) -> HtmlForm:
    return HtmlForm(_BODY.render(view=view_of(form, state, faults)))


def sent(page: HtmlForm) -> list[tuple[str, str]]:
    return parse_qsl(urlencode(page.posted()), keep_blank_values=True)


def same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_posted_form_is_the_input_it_was_rendered_from(data: Any) -> None:
    schema, values = data.draw(objects(schemas()))
    value = data.draw(values)
    form = read_form(document(schema))
    state = state_of_input(form, value)
    page = page_of(form, state)
    assert len(set(page.ids)) == len(page.ids)
    back = state_of_post(form, sent(page))
    found, faults = input_from(form, back)
    assert faults == ()
    assert same(found, value), (schema, value, found)
    as_json, faults = switched(form, back)
    assert faults == ()
    found, faults = input_from(form, state_of_post(form, sent(page_of(form, as_json))))
    assert faults == ()
    assert same(found, value)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(_VALUES, st.dictionaries(_NAMES, _VALUES, max_size=3))
def test_any_document_gives_a_form_that_keeps_any_input(schema: Any, value: Any) -> None:
    for found in (schema, document(schema), document({"properties": {"a": schema, "": {"anyOf": [schema]}}})):
        form = read_form(found)
        page = page_of(form, state_of_input(form, value))
        back, faults = input_from(form, state_of_post(form, sent(page)))
        assert faults == ()
        assert same(back, value)


@given(st.lists(_NAMES, max_size=5))
def test_every_name_of_a_control_can_be_read_back(path: list[str]) -> None:
    name = name_of("input", path)
    assert split_name(name) == ("input", path)
    assert name.isascii()
    assert name.isprintable()
    assert " " not in name
