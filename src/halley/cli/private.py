"""A private server for one command: `halley run ./folder` needs no running server."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from halley.cli.failures import Unreachable, UsageProblem
from halley.cli.serving import PRIVATE_PREFIX, ServeRequest, server_command
from halley.cli.target import ServerTarget, normalise
from halley.settings import hide_environ, process_environ

STOP_SECONDS = 10.0


class PrivateServer(msgspec.Struct, frozen=True, kw_only=True):
    """The URL of the server and the model that it runs."""

    target: ServerTarget
    models: list[str]


@contextmanager
def private_server(model: Path) -> Iterator[PrivateServer]:
    """Start a server for one model folder or file, on a free loopback port and a temporary data folder; stop it
    afterwards.

    It always ends with this process: it reads its stdin, which closes when this process ends. Then it deletes its data.

    Raises:
        UsageProblem: the model cannot be used; the message is the server's.
        Unreachable: it did not start; its messages are on stderr.
    """
    data = Path(tempfile.mkdtemp(prefix=PRIVATE_PREFIX))
    key = secrets.token_hex(24)
    hide_environ()  # the model will run under the same user
    request = ServeRequest(paths=[str(model.resolve())], flags={"data": str(data)}, private=True)
    command, environ, secret = server_command(
        request, {**process_environ(), "HALLEY_ADMIN_KEY": key, "HALLEY_SERVER__ACCESS_LOG": "false"}
    )
    process = subprocess.Popen(
        command,
        env=environ,
        pass_fds=() if secret is None else (secret,),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # this process handles Ctrl+C: the prediction is cancelled before the server ends
    )
    if secret is not None:
        os.close(secret)
    try:
        yield _announced(process, key, model)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        shutil.rmtree(data, ignore_errors=True)


def _announced(process: subprocess.Popen[bytes], key: str, model: Path) -> PrivateServer:
    line = process.stdout.readline() if process.stdout is not None else b""
    try:
        started = json.loads(line)
        if started.get("fault"):
            raise UsageProblem(started["fault"])
        root, api = normalise(started["url"])
    except (ValueError, KeyError, TypeError) as error:
        raise Unreachable(
            f"The server for {model} did not start.", hint=f"`halley check {model}` says what is wrong with a model."
        ) from error
    if not started["models"]:
        raise UsageProblem("; ".join(started["faults"]) or f"There is no model at {model}.")
    return PrivateServer(target=ServerTarget(root=root, api=api, token=key), models=started["models"])
