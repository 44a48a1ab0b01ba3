"""`halley ps`: the model processes of a Halley server; needs an admin key."""

from __future__ import annotations

from typing import Any

from halley.cli.options import JsonOption, ProfileOption, ServerOption, TokenOption
from halley.cli.screen import Screen


def ps(
    server: ServerOption = None, token: TokenOption = None, profile: ProfileOption = None, as_json: JsonOption = False
) -> None:
    """List model processes: state, memory, device, slots (admin).

    \b
    Examples:
      halley ps
    """
    from halley.cli.session import connect

    screen = Screen(json_only=as_json)
    with connect(server, token, profile) as client:
        found = list(client.pages("/replicas"))
    if as_json:
        screen.out_json(found)
        return
    screen.table(
        ["MODEL", "VERSION", "STATE", "PID", "MEMORY", "DEVICE", "BUSY", "UP", "ISOLATION", "LAST EXIT"],
        [_row(replica) for replica in found],
    )
    reasons = {
        str(found_one.get("isolation_reason")): str(found_one.get("isolation"))
        for found_one in found
        if found_one.get("isolation_reason")
    }
    for reason, way in reasons.items():
        screen.note(f"isolation {way}: {reason}")
    for replica in found:
        if replica.get("reason"):
            screen.note(f"{replica['model']}: {str(replica['reason']).splitlines()[0]}")


def _row(replica: dict[str, Any]) -> list[str]:
    has_process = replica.get("pid") is not None
    return [
        f"{replica.get('model')}{' (pinned)' if replica.get('pinned') else ''}",
        str(replica.get("version", ""))[:12],
        str(replica.get("state", "")).replace("_", " "),
        str(replica["pid"]) if has_process else "-",
        f"{(replica.get('memory_bytes') or 0) / 1e6:,.0f} MB" if has_process else "-",
        str(replica.get("device") or "-"),
        f"{replica.get('busy_slots')}/{replica.get('slots')}" if has_process else "-",
        uptime(replica.get("uptime_seconds")),
        str(replica.get("isolation") or "-"),
        str(replica.get("last_exit_reason") or "-").replace("_", " "),
    ]


def uptime(seconds: float | None) -> str:
    """`42s`, `5m`, `3h`, `12d`: the largest unit only."""
    if seconds is None:
        return "-"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"
