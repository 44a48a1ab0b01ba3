"""Acts on all predictions of a server that match a filter: asks for confirmation, then shows the progress."""

from __future__ import annotations

import secrets
import shlex
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from halley.cli.client import segment
from halley.cli.failures import ExitCode, UsageProblem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from halley.cli.client import Client, Json
    from halley.cli.screen import Screen

_PATH: Final = "/bulk-actions"
_LOOK_SECONDS: Final = 0.3
_VERBS: Final = {"cancel": "Cancel", "rerun": "Run again", "delete-data": "Remove the data of"}


class BulkOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with the predictions that match: `action` is its name in the API. With `yes` there is no prompt."""

    action: str
    filter: dict[str, str]
    limit: int | None
    yes: bool
    wait: bool


def read_filter_words(texts: Sequence[str]) -> dict[str, str]:
    """The members in texts such as `status=failed model=acme/* error="no memory"`.

    Raises:
        UsageProblem: it is no list of NAME=VALUE, or a name occurs twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise UsageProblem(f"The filter {text!r} has a quote without an end.") from error
        for word in words:
            name, equals, value = word.partition("=")
            if not equals or not name or not value:
                hint = "Write NAME=VALUE, for example: --filter 'status=failed model=acme/*'."
                raise UsageProblem(f"{word!r} is not a filter.", hint=hint)
            if name in found:
                raise UsageProblem(f"The filter has {name} twice.")
            found[name] = value
    if not found:
        raise UsageProblem("The filter is empty.", hint="Give at least one NAME=VALUE, for example status=failed.")
    return found


def read_what(id: str | None, filters: Sequence[str] | None) -> tuple[str | None, dict[str, str]]:
    """The one prediction that is meant, or None and the members of the filter.

    Raises:
        UsageProblem: both are given, or neither, or the filter cannot be read.
    """
    if (id is None) == (filters is None):
        both = "" if id is None else ", not both"
        raise UsageProblem(f"Give the id of a prediction or --filter{both}.", hint="Example: --filter 'status=failed'.")
    return id, {} if filters is None else read_filter_words(filters)


def act(client: Client, screen: Screen, options: BulkOptions) -> int:
    """Count, ask, begin, and follow to the end. Ctrl+C stops the action. Returns the exit code.

    Raises:
        UsageProblem: more match than one action takes, or no person can answer.
    """
    request: dict[str, Any] = {"action": options.action, "filter": options.filter}
    if options.limit is not None:
        request["limit"] = options.limit
    preview = client.call("POST", f"{_PATH}/preview", json=request)
    total = preview["total"]
    if total == 0:
        screen.note(f"There is nothing to do: {preview['description']}.")
        return ExitCode.SUCCEEDED
    if preview["is_more"] and options.limit is None:
        raise UsageProblem(f"More than {total} predictions match.", hint=f"--limit {total} takes the newest {total}.")
    _confirm(screen, options, preview)
    headers = {"idempotency-key": secrets.token_hex(16)}
    request["filter"] = preview["filter"]  # with the time of the count: what is created since is not meant
    made = client.call("POST", _PATH, json=request, headers=headers)
    if not options.wait:
        screen.note(f"Bulk action {made['id']} has begun.")
        _show(screen, made)
        return ExitCode.SUCCEEDED
    try:
        ended = _follow(client, screen, made)
    except KeyboardInterrupt:
        ended = client.call("POST", f"{_PATH}/{made['id']}/stop")
    return _report(screen, ended)


def show_actions(client: Client, screen: Screen, limit: int) -> None:
    """List the newest actions."""
    found = list(islice(client.pages(f"{_PATH}?limit={min(limit, 100)}"), limit))
    if screen.wants_json:
        screen.out_json(found)
        return
    rows = [
        [
            one["id"],
            one["action"],
            one["status"],
            f"{one['total'] - one['remaining']}/{one['total']}",
            one["description"],
        ]
        for one in found
    ]
    screen.table(["ID", "ACTION", "STATUS", "DONE", "PREDICTIONS"], rows)


def show_action(client: Client, screen: Screen, action_id: str, *, stop: bool) -> int:
    """Show one action, after stopping it if that is wanted; returns the exit code."""
    path = f"{_PATH}/{segment(action_id)}"
    action = client.call("POST", f"{path}/stop") if stop else client.call("GET", path)
    code = _report(screen, action)
    return ExitCode.SUCCEEDED if stop or action["status"] == "running" else code


def _confirm(screen: Screen, options: BulkOptions, preview: Json) -> None:
    total = preview["total"]
    words = "1 prediction" if total == 1 else f"{total} predictions"
    screen.note(f"{words}: {preview['description']}")
    for one in preview["examples"]:
        screen.note(f"  {one['id']}  {one['model']}  {one['status']}  {(one['error'] or '')[:80]}".rstrip())
    if total > len(preview["examples"]):
        screen.note(f"  and {total - len(preview['examples'])} more")
    if not options.yes:
        warning = f"{words} match, and no person can be asked."
        screen.confirm(f"{_VERBS[options.action]} {words}?", warning=warning)


def _follow(client: Client, screen: Screen, made: Json) -> Json:
    now = made
    while now["status"] == "running":
        over = now["total"] - now["remaining"]
        screen.bar(now["status_reason"] or f"{over} of {now['total']}", over, now["total"])
        client.timing.sleep(_LOOK_SECONDS)
        now = client.call("GET", f"{_PATH}/{made['id']}")
    return now


def _show(screen: Screen, action: Json) -> None:
    if screen.wants_json:
        screen.out_json(action)
    else:
        screen.out(action["id"])


def _report(screen: Screen, action: Json) -> int:
    if screen.wants_json:
        screen.out_json(action)
    parts = [f"{action[name]} {name}" for name in ("done", "skipped", "failed") if action[name] or name == "done"]
    if action["remaining"]:
        parts.append(f"{action['remaining']} {'left' if action['status'] == 'running' else 'not begun'}")
    words = {"running": "Waits", "stopped": "Stopped"}.get(action["status"])
    why = f" {words}: {action['status_reason']}." if words and action["status_reason"] else ""
    screen.note(f"Bulk action {action['id']}: {', '.join(parts)}.{why}")
    for one in action.get("reasons", []):
        screen.note(f"  {one['count']} {one['outcome']}: {one['reason']} ({one['example']})")
    if action["status"] == "stopped":
        return ExitCode.INTERRUPTED
    return ExitCode.FAILED if action["failed"] else ExitCode.SUCCEEDED
