"""The options that choose predictions."""

from __future__ import annotations

from typing import Annotated

import typer

ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="OWNER/NAME", help="Only predictions of this model; * matches any text."),
]
ErrorOption = Annotated[
    str | None, typer.Option("--error", metavar="TEXT", help="Only failed ones with this text in the error.")
]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Only predictions since a date, or of the last 30m, 2h, 7d."),
]
BeforeOption = Annotated[
    str | None,
    typer.Option("--before", metavar="TIME", help="Only predictions before a date, or older than 30m, 2h, 7d."),
]
KeyOption = Annotated[str | None, typer.Option("--key", metavar="ID", help="Only what was created with this key.")]
ProviderOption = Annotated[
    str | None,
    typer.Option("--provider", metavar="NAME", help="Only what ran here (local), or at this service elsewhere."),
]
TagOption = Annotated[str | None, typer.Option("--tag", help="Only predictions with this tag.")]
GroupOption = Annotated[
    str | None, typer.Option("--group", metavar="ID", help="Only failed ones of this group of errors.")
]
