"""`halley run`: creates a prediction, follows it, saves its output; the exit code is the prediction's result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from halley.cli.options import JsonOption, ProfileOption, ServerOption, TimeoutOption, TokenOption, read_duration
from halley.cli.screen import Screen

OutputOption = Annotated[
    str | None,
    typer.Option("-o", "--output", metavar="PATH", help="Write the output to this file or folder; - is stdout."),
]
SaveOption = Annotated[
    str | None,
    typer.Option("--save", metavar="DIR", help="Save all files in this folder, together with prediction.json."),
]
StreamOption = Annotated[
    bool | None,
    typer.Option(
        "--stream/--no-stream",
        help="Print the output as it arrives, or at the end (default for text: as it arrives).",
    ),
]
IdempotencyKeyOption = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key",
        metavar="KEY",
        help="Sent as Idempotency-Key: a server that has seen it creates no second prediction.",
    ),
]


def run(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="owner/name[:version], or a folder: ./my-model")],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[INPUT]...",
            help="NAME=TEXT, NAME=@FILE (@- is standard input) or NAME:=JSON; a repeated NAME makes a list.",
        ),
    ] = None,
    output: OutputOption = None,
    save: SaveOption = None,
    stream: StreamOption = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for the end, or only create the prediction.")
    ] = True,
    timeout: TimeoutOption = None,
    cancel_after: Annotated[
        str | None, typer.Option("--cancel-after", metavar="TIME", help="The server ends it after 30s, 5m, ...")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach-on-interrupt", help="Ctrl+C leaves the prediction running.")
    ] = False,
    idempotency_key: IdempotencyKeyOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> int:
    """Run a model and show its output.

    \b
    Examples:
      halley run demo/paint prompt="green hills" -o hills.webp
      halley run ./my-model image=@cat.jpg sizes:='[1, 2]' tags=red tags=blue
      halley run demo/text prompt="A function is" | wc -w
      halley run demo/paint prompt=sea num_outputs:=3 --stream --json
    """
    from halley.cli.inputs import read_pairs
    from halley.cli.running import RunOptions, run_prediction
    from halley.cli.session import connect

    screen = Screen(json_only=as_json)
    options = RunOptions(
        stream=stream,
        wait=wait,
        seconds=read_duration(timeout, "--timeout"),
        cancel_after=cancel_after,
        detach=detach,
        output=_place(output, as_json=as_json),
        save=_save_folder(save),
        idempotency_key=idempotency_key,
    )
    pairs = read_pairs(inputs or [])  # before anything slow
    return run_prediction(screen, model, pairs, options, lambda: connect(server, token, profile))


def _place(output: str | None, *, as_json: bool) -> Path | None:
    from halley.cli.failures import UsageProblem
    from halley.cli.placing import STDOUT, check_place, read_place

    path = read_place(output, "-o")
    if path == STDOUT and as_json:
        raise UsageProblem("Both -o - and --json write to standard output.", hint="Leave one of them out.")
    check_place(path, is_folder=False)
    return path


def _save_folder(save: str | None) -> Path | None:
    from halley.cli.failures import UsageProblem
    from halley.cli.placing import check_place, read_place
    from halley.cli.saving import has_record

    folder = read_place(save, "--save")
    check_place(folder, is_folder=True)
    if folder is not None and has_record(folder):
        raise UsageProblem(f"{folder} already holds another prediction.", hint="Save this one to another folder.")
    return folder
