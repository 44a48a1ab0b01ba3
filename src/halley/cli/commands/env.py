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

KEY_NAME: Final = "REPLICATE_API_TOKEN"
_NO_TRUST: Final[Mapping[str, str]] = {}
_LANGUAGES: Final = ("sh", "python", "js", "go", "curl", "dotenv")


def env(
    lang: Annotated[str, typer.Option("--lang", help=f"One of {', '.join(_LANGUAGES)}.")] = "sh",
    server: ServerOption = None,
    token: TokenOption = None,
    profile: ProfileOption = None,
) -> None:
    """Print the lines that make existing programs use a server.

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
        screen.note(f"No token is known for {target.root}; `halley keys create` creates one, --token gives one.")
    screen.out("\n".join(lines_for(lang, target.root, target.token, trust_variables(target.ca))))


def lines_for(lang: str, root: str, token: str | None, trust: Mapping[str, str] = _NO_TRUST) -> list[str]:
    """Give the lines for one language. Source: contract section 2 (what each client reads).

    `trust` are the variables that make clients trust a local certificate. Without a token, the shell's present token is
    unset, because it belongs to another server.
    """
    key = json.dumps(token)
    variables = [*_variables(root, token), *trust.items()]
    match lang:
        case "python":
            return [
                "# The official client reads these from the environment; set them before the import.",
                "import os",
                *(f'os.environ["{name}"] = {json.dumps(value)}' for name, value in variables if name != NODE),
                *([] if token else [f'os.environ.pop("{KEY_NAME}", None)  # no token is known for this server']),
                "import replicate",
            ]
        case "js":
            return [
                *(_at_start(name, trust[name]) for name in trust if name == NODE),
                "// replicate 1.x takes the base URL as an option only.",
                'import Replicate from "replicate";',
                *([] if token else ["// No token is known for this server."]),
                f"const replicate = new Replicate({{ baseUrl: {json.dumps(f'{root}/v1')}, auth: {key} }});",
            ]
        case "go":
            return [
                *(_at_start(name, trust[name]) for name in trust if name == OPENSSL),
                "// replicate-go takes both as options.",
                "client, err := replicate.NewClient(",
                *([f"\treplicate.WithToken({key})," if token else "\t// no token is known for this server"]),
                f"\treplicate.WithBaseURL({json.dumps(f'{root}/v1')}),",
                ")",
            ]
        case "curl":
            header = ["-H", f"Authorization: Bearer {token}"] if token else []
            trusting = ["--cacert", trust[OPENSSL]] if trust else []
            return [shlex.join(["curl", *trusting, *header, f"{root}/v1/predictions"])]
        case "dotenv":
            lines = [f"{name}={value}" for name, value in variables]
            return lines if token else [*lines, f"# {KEY_NAME}: no token is known for this server"]
        case _:
            lines = [f"export {name}={shlex.quote(value)}" for name, value in variables]
            return lines if token else [*lines, f"unset {KEY_NAME}"]


def _variables(root: str, token: str | None) -> list[tuple[str, str]]:
    # old Python clients (0.8, 0.15) read the last name
    key = [(KEY_NAME, token)] if token else []
    return [("REPLICATE_BASE_URL", root), *key, ("REPLICATE_API_BASE_URL", root)]


def _at_start(name: str, value: str) -> str:
    return f"// Start the program with {name}={shlex.quote(value)}"
