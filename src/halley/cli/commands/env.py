"""`halley env`: the lines that point other programs at a server."""

from __future__ import annotations

import json
import shlex
from typing import Annotated, Final

import typer

from halley.cli.failures import UsageProblem
from halley.cli.options import ProfileOption, ServerOption, TokenOption
from halley.cli.screen import Screen

_LANGUAGES: Final = ("sh", "python", "js", "go", "curl", "dotenv")


def env(
    lang: Annotated[str, typer.Option("--lang", help=f"One of {', '.join(_LANGUAGES)}.")] = "sh",
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """Print the lines that make existing code use a server.

    \b
    Examples:
      eval "$(halley env)" && python my_script.py
      halley env --lang js
    """
    from halley.cli.session import choose_target

    if lang not in _LANGUAGES:
        raise UsageProblem(f"There is no language {lang!r}.", hint=f"Choose one of {', '.join(_LANGUAGES)}.")
    target = choose_target(server, token, profile)
    screen = Screen()
    if target.token is None:
        screen.note(f"No token is known for {target.root}; `halley keys create` makes one, --token names one.")
    screen.out("\n".join(lines_for(lang, target.root, target.token or "")))


def lines_for(lang: str, root: str, token: str) -> list[str]:
    """Give the lines for one language. Source: contract section 2 (what each client reads)."""
    url, key = json.dumps(root), json.dumps(token)
    match lang:
        case "python":
            return [
                "# replicate 1.x and 2.x read both from the environment; set them before the import.",
                "import os",
                f'os.environ["REPLICATE_BASE_URL"] = {url}',
                f'os.environ["REPLICATE_API_TOKEN"] = {key}',
                "import replicate",
            ]
        case "js":
            return [
                "// replicate 1.x takes the base URL as an option only.",
                'import Replicate from "replicate";',
                f"const replicate = new Replicate({{ baseUrl: {json.dumps(f'{root}/v1')}, auth: {key} }});",
            ]
        case "go":
            return [
                "// replicate-go takes both as options.",
                "client, err := replicate.NewClient(",
                f"\treplicate.WithToken({key}),",
                f"\treplicate.WithBaseURL({json.dumps(f'{root}/v1')}),",
                ")",
            ]
        case "curl":
            return [f"curl -H {shlex.quote(f'Authorization: Bearer {token}')} {shlex.quote(f'{root}/v1/predictions')}"]
        case "dotenv":
            return [f"REPLICATE_BASE_URL={root}", f"REPLICATE_API_TOKEN={token}"]
        case _:
            return [
                f"export REPLICATE_BASE_URL={shlex.quote(root)}",
                f"export REPLICATE_API_TOKEN={shlex.quote(token)}",
            ]
