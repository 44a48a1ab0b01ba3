"""`halley files`: the uploads of an account, on any server with a files API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from halley.cli.options import JsonOption, LimitOption, ProfileOption, ServerOption, TokenOption
from halley.cli.screen import Screen, human_bytes

app = typer.Typer(help="Upload files once and use them in many inputs.", no_args_is_help=True, rich_markup_mode=None)
IdArgument = Annotated[str, typer.Argument(metavar="FILE", help="The file's id, or the URL that its upload printed.")]


@app.command("list")
def list_(
    limit: LimitOption = 50,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List uploaded files, newest first."""
    from halley.cli.listing import first, note_more
    from halley.cli.session import connect

    screen = Screen(json_only=as_json)
    with connect(server, token, profile) as client:
        found, has_more = first(client.pages("/files"), limit)
    if as_json:
        screen.out_json(found)
    else:
        screen.table(["ID", "NAME", "TYPE", "SIZE", "EXPIRES"], [_row(file) for file in found])
    note_more(screen, len(found), has_more=has_more)


@app.command("upload")
def upload(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="The files.")],
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Upload files and print the URL of each, to be given as an input.

    \b
    Examples:
      halley files upload photo.jpg
      halley run demo/upscale image="$(halley files upload photo.jpg)"
    """
    from halley.cli.failures import UsageProblem
    from halley.cli.session import connect

    if folders := [str(path) for path in paths if path.is_dir()]:
        raise UsageProblem(f"{', '.join(folders)} is a folder.", hint="Name the files in it.")
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise UsageProblem(f"There is no file {', '.join(missing)}.")
    screen = Screen(json_only=as_json)
    made = []
    with connect(server, token, profile) as client:
        for path in paths:
            size = path.stat().st_size

            def sent(count: int, path: Path = path, size: int = size) -> None:
                screen.bar(f"{path.name}", count, size)

            record = client.upload_file(path, on_sent=sent)
            screen.clear_status()
            made.append(record)
            screen.note(f"  uploaded {path} ({human_bytes(size)}) as {record['id']}")
            if not as_json:
                screen.out(str(record["urls"]["get"]))
    if as_json:
        screen.out_json(made)


@app.command("download")
def download(
    file: IdArgument,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="PATH", help="The file to write; - is stdout. Default: its own name."),
    ] = None,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """Download an uploaded file. After an interruption, run it again to continue.

    \b
    Examples:
      halley files download ID -o photo.jpg
    """
    from halley.cli.failures import ServerRefused, UsageProblem
    from halley.cli.naming import safe_name
    from halley.cli.placing import check_place, put_file, read_place
    from halley.cli.results import downloads_of, reporting_errors
    from halley.cli.session import connect

    screen = Screen()
    place = read_place(output, "-o")
    check_place(place, is_folder=False)
    with connect(server, token, profile) as client:
        record = client.call("GET", f"/files/{_id(file)}")
        link = (record.get("urls") or {}).get("download")
        if not isinstance(link, str):
            raise ServerRefused(
                404,
                f"{client.target.root} gives no download link for {record.get('id')}.",
                hint="Halley's own servers do; elsewhere only inputs of predictions can use a file.",
            )
        name = safe_name(str(record.get("name") or ""), fallback=str(record.get("id")))
        target = place / name if place is not None and place.is_dir() else place or Path(name)
        if place is None and target.exists():
            raise UsageProblem(f"{target} already exists.", hint="Choose another place with -o.")
        with reporting_errors(target):
            put_file(screen, downloads_of(client), link, target, key=f"file {record.get('id')}")


@app.command("delete")
def delete(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Ids, or URLs that uploads printed.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """Delete uploaded files.

    \b
    Examples:
      halley files delete ID
    """
    from halley.cli.session import connect

    screen = Screen()
    if not yes:
        screen.confirm(
            f"Delete {len(files)} file{'s' if len(files) > 1 else ''}?", warning="Deleting a file cannot be undone."
        )
    with connect(server, token, profile) as client:
        for file in files:
            client.call("DELETE", f"/files/{_id(file)}")
            screen.note(f"  deleted {file}")


def _id(text: str) -> str:
    """The id in a URL of a file, or the text itself. The server reports unknown ids."""
    return quote(text.rstrip("/").rpartition("/")[2] if "://" in text else text, safe="")


def _row(file: dict[str, Any]) -> list[str]:
    size = file.get("size")
    return [
        str(file.get("id", "")),
        str(file.get("name") or ""),
        str(file.get("content_type") or ""),
        human_bytes(size) if isinstance(size, int) else "",
        str(file.get("expires_at") or "never")[:16].replace("T", " "),
    ]
