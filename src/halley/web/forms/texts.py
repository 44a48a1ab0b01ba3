"""The text of a value in its control, and the value of a text.

Browsers change what is typed: they send the ends of lines as CR LF, and remove from dates and numbers what they cannot
read. A value that would not come back as it was has no text.
"""

import json
import math
import re
from datetime import date
from typing import Any, Final

from halley.web.forms.fields import TEXTS, Field
from halley.web.forms.options import json_text

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}")
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_FLOAT: Final = re.compile(r"-?([0-9]+(\.[0-9]+)?|\.[0-9]+)([eE][+-]?[0-9]+)?")  # HTML's "valid floating-point number"
_NUMBER_CHARACTERS: Final = 400
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LOCAL: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}):([0-9]{2})(:[0-9]{2})?")
_LEAST: Final = -(2**63)  # JSON bodies have integers of 64 bits
_MOST: Final = 2**64 - 1


def text_of(field: Field, value: Any) -> str | None:
    """The text of a value that is not null; None if the control cannot show it."""
    if field.kind in TEXTS:
        is_fit = isinstance(value, str) and "\r" not in value and not is_empty(field, value)
        if field.kind == "file" and is_fit:
            is_fit = value == value.strip() and "\n" not in value
        return value if is_fit else None
    texts = _texts(field, value)
    return next((text for text in texts if _is_one_line(text) and _same(value_of_text(field, text), value)), None)


def is_empty(field: Field, text: str) -> bool:
    """Whether a control with this text counts as not filled in. Spaces count as text where text is asked for."""
    return not text if field.kind in {"string", "text", "secret"} else not text.strip()


def value_of_text(field: Field, text: str) -> Any:
    """The value of a text that is not empty. A text that means no value stays text: the API says what is wrong."""
    match field.kind:
        case "integer" | "number":
            return _number(text.strip())
        case "boolean":
            return {"true": True, "false": False}.get(text, text)
        case "enum":
            return next((option.value for option in field.options if option.text == text), text)
        case "datetime":
            return _time(text)
        case "file":
            return text.strip()
        case _:
            return text


def is_number(text: str) -> bool:
    """Whether a number control can show it."""
    return _FLOAT.fullmatch(text) is not None


def is_date(text: str) -> bool:
    """Whether a date control can show it."""
    if _DATE.fullmatch(text) is None:
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def local_time(text: str) -> str | None:
    """The text of a date and time control for a time in UTC; None if it cannot show it."""
    found = _LOCAL.fullmatch(text.removesuffix("Z")) if text.endswith("Z") else _LOCAL.fullmatch(text)
    if found is None or not is_date(found[1]) or int(found[2]) > 23 or int(found[3]) > 59:
        return None
    seconds = found[4] or ""
    return None if seconds > ":59" else f"{found[1]}T{found[2]}:{found[3]}{'' if seconds == ':00' else seconds}"


def _texts(field: Field, value: Any) -> list[str]:
    """The texts that could stand for it."""
    match field.kind:
        case "integer" | "number":
            return [json.dumps(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []
        case "boolean":
            return [json.dumps(value)] if isinstance(value, bool) else []
        case "enum":
            return [option.text for option in field.options if _same(option.value, value)]
        case "datetime":
            short = local_time(value) if isinstance(value, str) and value.endswith("Z") else None
            return [text for text in (short, value) if isinstance(text, str)]
        case _:
            return [value] if isinstance(value, str) else []


def _is_one_line(text: str) -> bool:
    return bool(text.strip()) and "\n" not in text and "\r" not in text


def _number(text: str) -> int | float | str:
    if len(text) > _NUMBER_CHARACTERS:
        return text
    if _INTEGER.fullmatch(text) is not None and _LEAST <= int(text) <= _MOST:
        return int(text)
    if _NUMBER.fullmatch(text) is not None and math.isfinite(float(text)):
        return float(text)
    return text


def _time(text: str) -> str:
    """What a date and time control sends has no zone; the form says that it is UTC."""
    short = local_time(text)
    if short is None or text.endswith("Z"):
        return text
    return f"{short}Z" if len(short) > len("2026-01-31T18:00") else f"{short}:00Z"


def _same(one: Any, other: Any) -> bool:
    return json_text(one) == json_text(other)
