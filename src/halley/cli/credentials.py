"""The client's file of servers and tokens: `credentials.toml` in the user's configuration folder, mode 0600.

A token is used only for the server with which it was stored.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from halley.cli.failures import UsageProblem

DEFAULT_PROFILE: Final = "local"


class CredentialProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A server, its token, and for a server of this machine its data folder.

    `ca` is a file with the certificate authority of the server, if the system does not know it.
    """

    server: str
    token: str | None = None
    data: str | None = None
    ca: str | None = None


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """All profiles; `default` is the name of the one used without `--profile`."""

    profiles: dict[str, CredentialProfile] = {}
    default: str | None = None

    def for_data(self, data: Path) -> tuple[str, CredentialProfile] | None:
        """Find the profile of the server that owns this data folder."""
        wanted = os.path.realpath(data)
        mine = ((name, one) for name, one in self.profiles.items() if one.data and os.path.realpath(one.data) == wanted)
        return next(mine, None)


def credentials_path() -> Path:
    """Give the path of the file."""
    import platformdirs

    return platformdirs.user_config_path("halley") / "credentials.toml"


def load(path: Path | None = None) -> Credentials:
    """Read the file; an absent file is empty.

    Raises:
        UsageProblem: it cannot be read or understood.
    """
    path = path or credentials_path()
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Credentials)
    except FileNotFoundError:
        return Credentials()
    except (OSError, ValueError, msgspec.ValidationError) as error:
        raise UsageProblem(
            f"The credentials file {path} cannot be read: {getattr(error, 'strerror', None) or error}.",
            hint="Correct it, or delete it.",
        ) from error


def save(profile: CredentialProfile, *, name: str | None = None, path: Path | None = None) -> str:
    """Store a profile under `name` and return the name used; the first one becomes the default.

    Without a name, the profile of the same data folder (otherwise of the same server) is replaced, or a free name is
    used. If several profiles have one server, for example data folders that used one port in turn, the one stored last
    is used. The file is complete at any moment, and readable by its user only.
    """
    path = path or credentials_path()
    found = load(path)
    name = name or _name_for(found, profile)
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise UsageProblem(f"{name!r} is not a valid name for a profile; use letters, digits, - and _.")
    profiles = {name: profile} | {other: known for other, known in found.profiles.items() if other != name}
    default = found.profiles.get(found.default or "")
    is_default = default is None or default.server == profile.server
    _write(path, Credentials(profiles=profiles, default=name if is_default else found.default))
    return name


def _name_for(found: Credentials, profile: CredentialProfile) -> str:
    for name, known in found.profiles.items():
        if (profile.data is not None and known.data == profile.data) or (
            profile.data == known.data and known.server == profile.server
        ):
            return name
    numbered = (DEFAULT_PROFILE if n == 1 else f"{DEFAULT_PROFILE}-{n}" for n in range(1, len(found.profiles) + 2))
    return next(name for name in numbered if name not in found.profiles)


def _write(path: Path, credentials: Credentials) -> None:
    lines = ["# Tokens of Halley's command line. Do not share this file.", ""]
    if credentials.default is not None:
        lines += [f"default = {json.dumps(credentials.default)}", ""]
    for name, profile in credentials.profiles.items():
        lines += [f"[profiles.{name}]", *_toml_lines(msgspec.to_builtins(profile)), ""]
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, 0o600)
        file.write("\n".join(lines))
        file.flush()
        os.fsync(descriptor)
    partial.replace(path)


def _toml_lines(values: Mapping[str, str | None]) -> list[str]:
    # A JSON string is a TOML basic string, except for DEL, which JSON does not escape.
    return [
        f"{key} = {json.dumps(value)}".replace("\x7f", "\\u007f") for key, value in values.items() if value is not None
    ]
