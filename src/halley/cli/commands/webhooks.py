"""`halley webhooks`: the secret, the delivery log, sending again, verifying, and listening without a tunnel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from halley.cli.options import JsonOption, LimitOption, ProfileOption, ServerOption, TokenOption
from halley.cli.screen import Screen

app = typer.Typer(
    help="List deliveries of webhooks, resend, verify and receive them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("secret")
def secret(
    rotate: Annotated[bool, typer.Option("--rotate", help="Replace it; the old one also signs for one day.")] = False,
    now: Annotated[bool, typer.Option("--now", help="With --rotate: the old one becomes invalid at once.")] = False,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the secret that signs the webhooks of this account.

    \b
    Examples:
      halley webhooks secret
      halley webhooks secret --rotate
    """
    from halley.cli.failures import UsageProblem
    from halley.cli.session import connect

    if now and not rotate:
        raise UsageProblem("--now needs --rotate.", hint="It makes the old secret invalid at once.")
    screen = Screen(json_only=as_json)
    path = "/webhooks/default/secret"
    with connect(server, token, profile) as client:
        if rotate:
            found = client.call("POST", f"{path}/rotate", json={"overlap_seconds": 0} if now else {})
        else:
            found = client.call("GET", path)
    if as_json:
        screen.out_json(found)
        return
    if rotate:
        screen.note(f"The old secret is valid until {found['previous_ends_at']}. This is the new one:")
    screen.out(str(found["key"]))


@app.command("deliveries")
def deliveries(
    prediction: Annotated[
        str | None, typer.Option("--prediction", metavar="ID", help="Only deliveries of this prediction.")
    ] = None,
    limit: LimitOption = 20,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List attempts to deliver webhooks, newest first.

    \b
    Examples:
      halley webhooks deliveries --limit 50
      halley webhooks deliveries --prediction ID --json
    """
    from halley.cli.listing import first, note_more
    from halley.cli.session import connect

    screen = Screen(json_only=as_json)
    query = f"?prediction={quote(prediction, safe='')}" if prediction else ""
    with connect(server, token, profile) as client:
        found, has_more = first(client.pages(f"/webhooks/deliveries{query}"), limit)
    note_more(screen, len(found), has_more=has_more)
    if as_json:
        screen.out_json(found)
        return
    screen.table(
        ["ID", "PREDICTION", "EVENT", "TRY", "STATE", "ANSWER", "TOOK", "STARTED", "NEXT"],
        [_row(delivery) for delivery in found],
    )


@app.command("resend")
def resend(
    id: Annotated[
        str,
        typer.Argument(metavar="ID", help="A delivery, or a prediction whose `completed` message is to be sent again."),
    ],
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send the message of a delivery again, with the same id.

    \b
    Examples:
      halley webhooks resend ID
    """
    from halley.cli.failures import ServerRefused
    from halley.cli.session import connect

    screen = Screen(json_only=as_json)
    with connect(server, token, profile) as client:
        try:
            sent = client.call("POST", f"/webhooks/deliveries/{quote(id, safe='')}/resend")
        except ServerRefused as refused:
            delivery = _end_of(client, id) if refused.status == 404 else None
            if delivery is None:
                raise
            sent = client.call("POST", f"/webhooks/deliveries/{delivery}/resend")
    if as_json:
        screen.out_json(sent)
        return
    screen.note(
        f"Message {sent['id']} is sent again. See: halley webhooks deliveries --prediction {sent['prediction']}"
    )


@app.command("verify")
def verify(
    body: Annotated[Path, typer.Argument(metavar="BODY", help="A file with the body as it arrived; - is stdin.")],
    header: Annotated[
        list[str], typer.Option("-H", "--header", metavar="'NAME: VALUE'", help="The three webhook-... headers.")
    ],
    secret: Annotated[str | None, typer.Option("--secret", help="whsec_...; read from the server if left out.")] = None,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """Say whether a message that arrived is genuine. Exit code 2 if not.

    \b
    Example (the headers as they arrived):
      halley webhooks verify body.json -H "webhook-id: ..." -H "webhook-timestamp: ..." -H "webhook-signature: ..."
    """
    from halley.cli.session import connect
    from halley.cli.webhooks import checked

    content = typer.get_binary_stream("stdin").read() if str(body) == "-" else body.read_bytes()
    if secret is None:
        with connect(server, token, profile) as client:
            secret = str(client.call("GET", "/webhooks/default/secret")["key"])
    Screen().note(checked(content, header, secret))


@app.command("listen")
def listen(
    forward: Annotated[str, typer.Option("--forward", metavar="URL", help="The URL to post the messages to.")],
    events: Annotated[str, typer.Option("--events", help="Some of start,output,logs,completed.")] = "output,completed",
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Start with predictions of the last 10m, 2h, ...")
    ] = None,
    own_key: Annotated[bool, typer.Option("--own-key", help="Only predictions that were made with this key.")] = False,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """Post webhook messages to a program on this machine.

    They are signed, as a receiver gets them, and need no tunnel. Works also for predictions without a webhook; those
    with one also send to it. Press Ctrl+C to stop.

    \b
    Examples:
      halley webhooks listen --forward http://localhost:3000/hook
      halley webhooks listen --forward http://localhost:3000/hook --since 1h --events start,completed
    """
    from halley.cli.options import read_duration
    from halley.cli.session import connect
    from halley.cli.webhooks import Forwarder, since_text

    screen = Screen()
    query = {"events": events} | ({"key": "own"} if own_key else {})
    if (seconds := read_duration(since, "--since")) is not None:
        query["since"] = since_text(seconds)
    with connect(server, token, profile) as client, Forwarder(forward, screen) as forwarder:
        # the first request reports wrong options, and gives the position from which to resume a broken stream
        first = client.call("GET", f"/webhooks/listen?{urlencode(query)}")
        screen.note(f"Listening at {client.target.root}, posting to {forward}. Press Ctrl+C to stop.")
        screen.note("The secret: halley webhooks secret")
        try:
            forwarder.begin(first)
            forwarder.follow(client, query)
        except KeyboardInterrupt:
            screen.note(f"{forwarder.count} messages were posted.")


def _end_of(client: Any, prediction: str) -> str | None:
    """The latest delivery about the end of a prediction."""
    for delivery in client.pages(f"/webhooks/deliveries?prediction={quote(prediction, safe='')}"):
        if delivery.get("event") == "completed":
            return str(delivery["id"])
    return None


def _row(delivery: dict[str, Any]) -> list[str]:
    answer = delivery.get("response") or {}
    latency = delivery.get("latency_seconds")
    return [
        str(delivery.get("id", "")),
        str(delivery.get("prediction", "")),
        str(delivery.get("event", "")),
        str(delivery.get("attempt", "")),
        str(delivery.get("state", "")),
        str(answer.get("status") or delivery.get("error") or "-"),
        "-" if latency is None else f"{latency * 1000:.0f} ms",
        str(delivery.get("started_at", ""))[:19].replace("T", " "),
        str(delivery.get("next_attempt_at") or "-")[:19].replace("T", " "),
    ]
