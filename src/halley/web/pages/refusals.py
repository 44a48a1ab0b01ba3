"""The error message of the API for a form that it refused: shown beside the form, which keeps what was typed."""

from typing import Final

from halley.api.internal import ApiAnswer
from halley.web.visit import checked

_TRIED_AGAIN: Final = (400, 409, 413, 422, 429, 503)


def refusal_words(answer: ApiAnswer) -> str:
    """Why the API refused what was typed; "" if it did not.

    Raises:
        ApiRefused: it refused for another reason, which the error page shows.
    """
    if answer.status not in _TRIED_AGAIN:
        checked(answer)
        return ""
    return problem_words(answer)


def problem_words(answer: ApiAnswer) -> str:
    """What a refusal says, in one line."""
    problem = answer.json() or {}
    faults = [f"{fault['field']}: {fault['description']}" for fault in problem.get("invalid_fields", [])]
    return "; ".join(faults) or str(problem.get("detail", "")).strip()
