"""An input to begin with, for code: the author's first example, or a value for each input that has to be given."""

from typing import Any

from halley.web.forms.fields import Field, Form


def sample_input(form: Form) -> dict[str, Any]:
    """Texts are `...`, numbers the smallest allowed one."""
    if form.examples:
        return form.examples[0].input
    return {field.name: _sample(field) for field in form.fields if field.required}


def _sample(field: Field) -> Any:
    if field.default is not None:
        return field.default
    match field.kind:
        case "number" | "integer":
            return 1 if field.minimum is None else field.minimum
        case "boolean":
            return True
        case "enum":
            return field.options[0].value if field.options else None
        case "file":
            return "https://example.com/file"
        case "date":
            return "2026-01-31"
        case "datetime":
            return "2026-01-31T12:00:00Z"
        case "array":
            return []
        case "object":
            return {member.name: _sample(member) for member in field.members if member.required}
        case "dict":
            return {}
        case "union":
            return _sample(field.members[0]) if field.members else None
        case _:
            return "..."
