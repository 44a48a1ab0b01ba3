"""The request that would make a prediction again. Halley does not keep the headers and the body that arrived."""

from typing import Any

import msgspec

from halley.web.views.durations import seconds_between
from halley.web.views.run import ShownRun
from halley.web.views.texts import TextPart, pretty


class AgainRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Path, headers and body; the key is left out."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: TextPart

    @property
    def head(self) -> str:
        """The headers, one on each line."""
        return "\n".join([f"{name}: {value}" for name, value in self.headers])


def request_again(run: ShownRun, given: Any) -> AgainRequest:
    """The same version, webhook and deadline, with the input `given`; a deadline counts from the new create."""
    members: dict[str, Any] = {"version": f"{run.model}:{run.version}", "input": given}
    if run.webhook is not None:
        members["webhook"] = run.webhook
        if run.webhook_events_filter is not None:
            members["webhook_events_filter"] = run.webhook_events_filter
    if run.tags:
        members["tags"] = run.tags
    headers = [("Authorization", "Bearer ..."), ("Content-Type", "application/json")]
    seconds = seconds_between(run.created_at, run.deadline)
    if seconds is not None:
        headers.append(("Cancel-After", f"{round(seconds)}s"))
    return AgainRequest(
        method="POST", path="/v1/predictions", headers=tuple(headers), body=pretty(msgspec.json.encode(members))
    )
