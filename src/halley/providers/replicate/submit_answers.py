"""Decides from the answer to a create whether a prediction was created: yes, no, or not known.

It costs money, so "no" needs proof. The rules are those of docs/why/providers.md.
"""

import re
from typing import Final

from halley.egress import EgressResponse
from halley.providers.replicate.profiles import Profile
from halley.providers.services.answers import Body, error_code, error_text, is_large
from halley.providers.services.run_snapshot import read_run
from halley.providers.services.verdicts import SubmitAnswer, SubmitVerdict, handle_of

_KEY_OF: Final = re.compile(r"created the prediction ([a-z0-9]{26})\b")
_KEY_REUSED: Final = "Idempotency key reused"
_IN_FLIGHT: Final = "Create in flight"


def read_submit(profile: Profile, response: EgressResponse, body: Body | None) -> SubmitAnswer:
    """The verdict on a complete answer; `body` is its JSON object, without an envelope."""
    status, handle = response.status, handle_of(body)
    text = f"It answered {status}: {error_text(body) or 'without a reason that can be read'}"
    if 200 <= status < 300 and handle:
        run = read_run(body, handle, is_large=is_large(response))
        return SubmitAnswer(verdict=SubmitVerdict.SUBMITTED, handle=handle, status=status, run=run)
    if profile.key_seconds and (found := _recognized_by_key(body)) is not None:
        return found
    if proves_nothing(profile, response, body):
        verdict = SubmitVerdict.BUSY if status in (429, 503) else SubmitVerdict.REFUSED
        return SubmitAnswer(verdict=verdict, text=text, status=status)
    return SubmitAnswer(verdict=SubmitVerdict.UNKNOWN, text=text, status=status)


def proves_nothing(profile: Profile, response: EgressResponse, body: Body | None) -> bool:
    """Whether the service itself refused, so that nothing was created. Any other answer proves nothing, even if the
    guide of the service says "retry".
    """
    status = response.status
    if 400 <= status < 500:
        return status != 408
    if status == 500:
        return profile.refuses_with_500 and error_code(body) == "invalid_request"
    return status == 503 and profile.has_own_503 and _is_problem(response, body)


def _is_problem(response: EgressResponse, body: Body | None) -> bool:
    """Whether the service itself wrote the answer, and not a proxy in front of it."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/problem+json" and body is not None and body.get("status") == response.status


def _recognized_by_key(body: Body | None) -> SubmitAnswer | None:
    """The verdict of another Halley about the idempotency key, which belongs to this one prediction."""
    title = None if body is None else body.get("title")
    if title == _IN_FLIGHT:
        return SubmitAnswer(verdict=SubmitVerdict.UNKNOWN, text="It still answers an earlier request for the same.")
    if body is None or title != _KEY_REUSED:
        return None
    named = _KEY_OF.search(str(body.get("detail")))
    if named is None:
        return SubmitAnswer(verdict=SubmitVerdict.UNKNOWN, text="It has another request with the same key.")
    return SubmitAnswer(verdict=SubmitVerdict.SUBMITTED, handle=named[1])
