"""`halley keys`: the API keys of a Halley server; needs an admin key."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from halley.cli.options import JsonOption, ProfileOption, ServerOption, TokenOption
from halley.cli.screen import Screen

app = typer.Typer(help="Make, list, change and revoke API keys (admin).", no_args_is_help=True, rich_markup_mode=None)

HoldOption = Annotated[
    bool | None,
    typer.Option(
        "--hold/--no-hold",
        help="Whether the answers to polls of official clients may be delayed until something changes.",
    ),
]
AbandonedOption = Annotated[
    bool | None,
    typer.Option(
        "--cancel-abandoned/--keep-abandoned",
        help="Whether a prediction is canceled when no client waits for it any more.",
    ),
]
RetentionOption = Annotated[
    str | None,
    typer.Option(
        "--retention",
        metavar="PERIOD",
        help="How long the data of the key's predictions is kept: 1h, 30d, never;"
        " or default (the model's or server's setting).",
    ),
]


@app.command("create")
def create(
    name: Annotated[str, typer.Option("--name", help="What the key is for.")] = "",
    account: Annotated[
        str | None,
        typer.Option("--account", help="The account of the key; created if it is new. Default: your account."),
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="read, write or admin; can be given several times.")
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option("--prefix", metavar="WORD", help="The prefix of the key; r8 for libraries that expect r8_."),
    ] = None,
    hold: HoldOption = None,
    cancel_abandoned: AbandonedOption = None,
    retention: RetentionOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a key and print it to stdout. It cannot be shown again.

    \b
    Examples:
      halley keys create --account alice --name laptop
      halley keys create --scope read --name dashboard
      halley keys create --prefix r8 --name langchain
    """
    from halley.cli.session import connect

    options = _given(hold=hold, cancel_abandoned=cancel_abandoned, retention=retention)
    body: dict[str, Any] = {"name": name, "options": options}
    body |= ({"username": account} if account else {}) | ({"scopes": scope} if scope else {})
    body |= {"prefix": prefix} if prefix is not None else {}
    screen = Screen(json_only=as_json)
    with connect(server, token, profile) as client:
        made = client.call("POST", "/keys", json=body)
    if as_json:
        screen.out_json(made)
        return
    screen.note(f"Made key {made['id']}{f' ({name})' if name else ''}. It is shown only once:")
    screen.out(str(made["token"]))


@app.command("list")
def list_(
    server: ServerOption = None, token: TokenOption = None, profile: ProfileOption = None, as_json: JsonOption = False
) -> None:
    """List all keys. Only their beginnings can be shown: the keys themselves are not stored."""
    from halley.cli.session import connect

    screen = Screen(json_only=as_json)
    with connect(server, token, profile) as client:
        found = list(client.pages("/keys"))
    if as_json:
        screen.out_json(found)
        return
    rows = [
        [
            str(key.get("id", "")),
            str(key.get("name") or ""),
            str(key.get("username") or ""),
            " ".join(key.get("scopes") or []),
            str(key.get("hint") or ""),
            _shown(key.get("options")),
            "revoked" if key.get("revoked_at") else "valid",
        ]
        for key in found
    ]
    screen.table(["ID", "NAME", "ACCOUNT", "SCOPES", "BEGINS", "OPTIONS", "STATE"], rows)


@app.command("current")
def current(
    server: ServerOption = None, token: TokenOption = None, profile: ProfileOption = None, as_json: JsonOption = False
) -> None:
    """Show what the key in use may do. It needs no admin key, and also says how the key's newest predictions ended."""
    from halley.cli.session import connect

    screen = Screen(json_only=as_json)
    with connect(server, token, profile) as client:
        key = client.call("GET", "/keys/current")
    if as_json:
        screen.out_json(key)
        return
    usage = key.get("usage") or {}
    count = f"{'the newest ' if usage.get('is_more') else ''}{usage.get('predictions')}"
    if usage.get("is_more") and not usage.get("predictions"):
        count = "none of the account's newest ones"
    by_status = ", ".join(f"{number} {status}" for status, number in (usage.get("by_status") or {}).items())
    facts = [
        ("id", key.get("id")),
        ("name", key.get("name")),
        ("account", key.get("username")),
        ("begins", key.get("hint")),
        ("scopes", " ".join(key.get("scopes") or [])),
        ("options", _shown(key.get("options"))),
        ("predictions", f"{count} ({by_status})" if by_status else count),
        ("seconds that they ran", usage.get("run_seconds")),
        ("the last one", usage.get("newest_created_at")),
    ]
    screen.table(["KEY", ""], [[title, str(value)] for title, value in facts if value not in (None, "")])


@app.command("set")
def set_(
    id: Annotated[str, typer.Argument(help="The key's id, from `halley keys list`.")],
    hold: HoldOption = None,
    cancel_abandoned: AbandonedOption = None,
    retention: RetentionOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change options of a key; other options are unchanged.

    \b
    Examples:
      halley keys set ID --no-hold
      halley keys set ID --cancel-abandoned
      halley keys set ID --retention 1h
    """
    from halley.cli.failures import UsageProblem
    from halley.cli.session import connect

    changes = _given(hold=hold, cancel_abandoned=cancel_abandoned, retention=retention)
    if not changes:
        raise UsageProblem("Nothing to change.", hint="Give an option, for example --no-hold.")
    screen = Screen(json_only=as_json)
    with connect(server, token, profile) as client:
        changed = client.call("PATCH", f"/keys/{quote(id, safe='')}", json={"options": changes})
    if as_json:
        screen.out_json(changed)
        return
    screen.note(f"Key {id} is changed: {_shown(changed.get('options')) or 'all options as by default'}.")


@app.command("revoke")
def revoke(
    id: Annotated[str, typer.Argument(help="The key's id, from `halley keys list`.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """Revoke a key: programs that use it are refused from now on.

    \b
    Examples:
      halley keys revoke ID
    """
    from halley.cli.session import connect

    screen = Screen()
    if not yes:
        screen.confirm(f"Revoke key {id}?", warning="Revoking a key cannot be undone.")
    with connect(server, token, profile) as client:
        client.call("DELETE", f"/keys/{quote(id, safe='')}")
    screen.note(f"Key {id} is revoked.")


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given; the value `default` resets an option."""
    return {name: None if value == "default" else value for name, value in options.items() if value is not None}


def _shown(options: object) -> str:
    """The options that differ from the default, as on the command line."""
    if not isinstance(options, dict):
        return ""
    words = {("hold", False): "no-hold", ("cancel_abandoned", True): "cancel-abandoned"}
    shown = [word for (name, value), word in words.items() if options.get(name) is value]
    shown += [f"retention={period}" for period in [options.get("retention")] if period]
    return " ".join(shown)
