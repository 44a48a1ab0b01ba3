"""`halley env`: the lines that point other programs at a server."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Annotated, Final

import typer

from halley.cli.failures import UsageProblem
from halley.cli.options import ProfileOption, ServerOption, TokenOption
from halley.cli.screen import Screen
from halley.cli.trusting import NODE, OPENSSL

_NO_TRUST: Final[Mapping[str, str]] = {}
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
    from halley.cli.trusting import trust_variables

    if lang not in _LANGUAGES:
        raise UsageProblem(f"There is no language {lang!r}.", hint=f"Choose one of {', '.join(_LANGUAGES)}.")
    target = choose_target(server, token, profile)
    screen = Screen()
    if target.token is None:
        screen.note(f"No token is known for {target.root}; `halley keys create` makes one, --token names one.")
    screen.out("\n".join(lines_for(lang, target.root, target.token or "", trust_variables(target.ca))))


def lines_for(lang: str, root: str, token: str, trust: Mapping[str, str] = _NO_TRUST) -> list[str]:
    """Give the lines for one language. Source: contract section 2 (what each client reads).

    `trust` are the variables by which clients take a local certificate.
    """
    url, key = json.dumps(root), json.dumps(token)
    match lang:
        case "python":
            return [
                "# replicate 1.x and 2.x read these from the environment; set them before the import.",
                "import os",
                f'os.environ["REPLICATE_BASE_URL"] = {url}',
                f'os.environ["REPLICATE_API_TOKEN"] = {key}',
                *(f'os.environ["{name}"] = {json.dumps(trust[name])}' for name in trust if name != NODE),
                "import replicate",
            ]
        case "js":
            return [
                *(_at_start(name, trust[name]) for name in trust if name == NODE),
                "// replicate 1.x takes the base URL as an option only.",
                'import Replicate from "replicate";',
                f"const replicate = new Replicate({{ baseUrl: {json.dumps(f'{root}/v1')}, auth: {key} }});",
            ]
        case "go":
            return [
                *(_at_start(name, trust[name]) for name in trust if name == OPENSSL),
                "// replicate-go takes both as options.",
                "client, err := replicate.NewClient(",
                f"\treplicate.WithToken({key}),",
                f"\treplicate.WithBaseURL({json.dumps(f'{root}/v1')}),",
                ")",
            ]
        case "curl":
            header, target = f"Authorization: Bearer {token}", f"{root}/v1/predictions"
            words = ["curl", *(["--cacert", trust[OPENSSL]] if trust else []), "-H", header, target]
            return [shlex.join(words)]
        case "dotenv":
            return [f"{name}={value}" for name, value in _variables(root, token, trust)]
        case _:
            return [f"export {name}={shlex.quote(value)}" for name, value in _variables(root, token, trust)]


def _variables(root: str, token: str, trust: Mapping[str, str]) -> list[tuple[str, str]]:
    return [("REPLICATE_BASE_URL", root), ("REPLICATE_API_TOKEN", token), *trust.items()]


def _at_start(name: str, value: str) -> str:
    return f"// Start the program with {name}={shlex.quote(value)}"
