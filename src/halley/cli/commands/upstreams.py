"""`halley upstreams`: the services elsewhere that run predictions for a Halley server; needs an admin key."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

import typer

from halley.cli.options import JsonOption, LimitOption, ProfileOption, ServerOption, TokenOption
from halley.cli.screen import Screen

app = typer.Typer(
    help="See the services elsewhere that run predictions (admin).", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def upstreams() -> None:
    """See the services elsewhere that run predictions (admin)."""


@app.command("list")
def list_upstreams(
    server: ServerOption = None, token: TokenOption = None, profile: ProfileOption = None, as_json: JsonOption = False
) -> None:
    """List the services, with their state and last errors.

    Also shows runs, submits in 24 hours, and the number of unknown outcomes.

    \b
    Examples:
      halley upstreams list
    """
    from halley.cli.session import connect

    screen = Screen(json_only=as_json)
    with connect(server, token, profile) as client:
        found = list(client.pages("/upstreams"))
    if as_json:
        screen.out_json(found)
        return
    screen.table(["NAME", "STATE", "RUNS", "SUBMITS 24H", "UNKNOWN", "KIND", "URL"], [_row(one) for one in found])
    for one in found:
        if one.get("reason"):
            screen.note(f"{one['name']}: {one['reason']}")
        for error in one.get("last_errors") or ():
            screen.note(f"{one['name']}: {str(error['at'])[:19]} {_first_line(error['text'])}")


@app.command("show")
def show_upstream(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of a service.")],
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one service: state, runs, submits in 24 hours, last errors.

    \b
    Examples:
      halley upstreams show comet
    """
    from halley.cli.failures import UsageProblem
    from halley.cli.session import connect

    screen = Screen(json_only=as_json)
    with connect(server, token, profile) as client:
        known = {str(one.get("name")): one for one in client.pages("/upstreams")}
    found = known.get(name)
    if found is None:
        hint = f"The services are: {', '.join(known)}." if known else "The server has no services elsewhere."
        raise UsageProblem(f"There is no service {name!r}.", hint=hint)
    if as_json:
        screen.out_json(found)
        return
    screen.table(["", name], _facts(found))
    for error in found.get("last_errors") or ():
        screen.note(f"{str(error['at'])[:19]} {_first_line(error['text'])}")


@app.command("unknown")
def list_unknown(
    limit: LimitOption = 20,
    with_settled: Annotated[bool, typer.Option("--all", help="Also those that another prediction continues.")] = False,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List predictions whose outcome at a service is unknown.

    Look at the list of the service to decide between adopt and retry.

    \b
    Examples:
      halley upstreams unknown
      halley upstreams unknown --all
    """
    from halley.cli.listing import first, note_more
    from halley.cli.session import connect

    screen = Screen(json_only=as_json)
    with connect(server, token, profile) as client:
        path = f"/upstreams/unknown?limit={min(limit + 1, 100)}{'&all=1' if with_settled else ''}"
        found, has_more = first(client.pages(path), limit)
    if as_json:
        screen.out_json(found)
        return
    screen.table(
        ["ID", "MODEL", "PROVIDER", "ID THERE", "ACCOUNT", "CREATED"],
        [
            [str(one.get(key) or "-") for key in ("id", "model", "provider", "upstream_id", "account")]
            + [str(one.get("created_at"))[:19]]
            for one in found
        ],
    )
    for one in found:
        screen.note(f"{one['id']}: {_what(one)}")
    note_more(screen, len(found), has_more=has_more)


@app.command("adopt")
def adopt_run(
    prediction: Annotated[str, typer.Argument(metavar="PREDICTION", help="An id that `upstreams unknown` lists.")],
    upstream_id: Annotated[str, typer.Argument(metavar="UPSTREAM_ID", help="The id of its run at the service.")],
    provider: Annotated[
        str | None, typer.Option("--provider", metavar="NAME", help="The service; by default the prediction's own.")
    ] = None,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Follow a run of the service as a new prediction.

    It continues the one with the unknown outcome. Nothing is submitted.

    The new prediction belongs to the same account. The unknown one stays as it is.

    \b
    Examples:
      halley upstreams adopt 01kb5... gm3qorzdhgbfurvjtvhg6dckhu
    """
    body = {"upstream_id": upstream_id} | ({} if provider is None else {"provider": provider})
    _settle(prediction, "adopt", body, _Options(server, token, profile, as_json))


@app.command("retry")
def retry(
    prediction: Annotated[str, typer.Argument(metavar="PREDICTION", help="An id that `upstreams unknown` lists.")],
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Submit an unknown prediction again, as a new one.

    If the service has begun the first one, you pay for both: look at its list first.

    \b
    Examples:
      halley upstreams retry 01kb5...
    """
    _settle(prediction, "retry", None, _Options(server, token, profile, as_json))


class _Options(NamedTuple):
    """The options that every command has."""

    server: str | None
    token: str | None
    profile: str | None
    as_json: bool


def _settle(prediction: str, how: str, body: dict[str, str] | None, options: _Options) -> None:
    from halley.cli.session import connect

    screen = Screen(json_only=options.as_json)
    with connect(options.server, options.token, options.profile) as client:
        settled = client.call("POST", f"/upstreams/unknown/{quote(prediction, safe='')}/{how}", json=body)
    if options.as_json:
        screen.out_json(settled)
        return
    screen.note(f"{prediction} is continued by:")
    screen.out(str(settled["continued_by"]))


def _what(one: dict[str, Any]) -> str:
    settlement = one.get("settlement")
    if settlement:
        return f"{settlement['how']}, continued by {settlement['continued_by']}"
    return _first_line(one.get("error") or "canceled, and its run may continue there")


def _first_line(text: object) -> str:
    return next(iter(str(text).splitlines()), "")


def _facts(one: dict[str, Any]) -> list[list[str]]:
    facts = [
        ("address", one.get("url")),
        ("kind", one.get("kind")),
        ("profile", one.get("profile")),
        ("state", _state(one)),
        ("why it gets no runs", one.get("reason")),
        ("runs", _of(one.get("in_flight"), one.get("slots"))),
        ("submits in 24 hours", _of(one.get("submits"), one.get("max_submits_per_day"))),
        ("submits that it allows", _bucket(one.get("bucket"))),
        ("unknown outcomes", one.get("unknown")),
        ("circuit breaker opened", _times(one.get("opened"))),
        ("balance", _balance(one.get("balance"))),
        ("a submit took", _latency(one.get("submit_seconds"))),
        ("a run took", _latency(one.get("run_seconds"))),
        ("webhooks from it", one.get("webhooks")),
    ]
    facts += [(str(one["url"]), _address(one)) for one in one.get("addresses") or ()]
    return [[title, str(value)] for title, value in facts if value is not None]


def _address(one: dict[str, Any]) -> str:
    return str(one.get("reason") or f"{_of(one.get('in_flight'), one.get('slots'))} runs")


def _state(one: dict[str, Any]) -> str:
    return {"closed": "works", "open": "not answering", "half_open": "being tried"}.get(str(one.get("state")), "-")


def _row(one: dict[str, Any]) -> list[str]:
    return [
        str(one.get("name")),
        _state(one),
        f"{one.get('in_flight')}/{one.get('slots')}",
        _of(one.get("submits"), one.get("max_submits_per_day")),
        str(one.get("unknown")),
        str(one.get("kind")),
        str(one.get("url")),
    ]


def _balance(one: dict[str, Any] | None) -> str | None:
    if one is None:
        return None
    return f"{one['left']:g} {one['unit'] or ''}".rstrip() + f" ({one['at']})"


def _bucket(one: dict[str, Any] | None) -> str | None:
    if one is None:
        return None
    left = [] if one["left"] is None else [f"{_of(one['left'], one['limit'])} in the next {one['reset_seconds']:.0f} s"]
    at_once = [] if one["at_once"] is None else [f"{one['at_once']} at once, after it refused some"]
    return ", ".join(left + at_once)


def _latency(one: dict[str, Any] | None) -> str | None:
    if one is None:
        return None
    return f"median {one['p50']:.2f} s, 95th percentile {one['p95']:.2f} s (the last {one['count']})"


def _times(count: int | None) -> str | None:
    return None if count is None else f"{count} time{'' if count == 1 else 's'}"


def _of(number: object, most: object) -> str:
    return str(number) if most is None else f"{number}/{most}"
