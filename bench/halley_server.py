"""A Halley server under measurement: its command, its settings, and single requests to it."""

import json
import os
import sys
import time
import urllib.request
from pathlib import Path

ADMIN_KEY = "bench-admin-key-0123456789-abcdefghijkl"
AUTH = f"Authorization: Bearer {ADMIN_KEY}"
PROMPT = {"input": {"prompt": "an astronaut riding a horse on mars, hd, dramatic lighting, detailed"}}
HALLEY = [sys.executable, "-m", "halley.cli.main"]


class NotServed(Exception):
    """This server does not do what the row asks for."""


def halley_environment(home):
    return {
        **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
        "HOME": str(home),
        "HALLEY_ADMIN_KEY": ADMIN_KEY,
        "HALLEY_SERVER__ACCESS_LOG": "false",
        "HALLEY_LIMITS__QUEUED_PER_ACCOUNT": "1000000",
        "HALLEY_LIMITS__QUEUED_TOTAL": "1000000",
    }


def noop_folder():
    import halley

    return Path(halley.__file__).parent / "demo" / "noop"


def serve(home, port, models=None, halley=HALLEY):
    """The command of a server with these models, name to path, each loaded at once; without any: demo/noop."""
    config = home / "halley.toml"
    models = models or {"demo/noop": noop_folder()}
    config.write_text("".join(f'[models."{name}"]\npath = "{path}"\npreload = true\n' for name, path in models.items()))
    return [*halley, "serve", "--no-demo", "--port", str(port), "--data", str(home / "data"), "--config", str(config)]


def ask(url, body=None, headers=()):
    request = urllib.request.Request(url, data=json.dumps(body).encode() if body is not None else None)
    request.add_header("Content-Type", "application/json")
    for header in (AUTH, *headers):
        request.add_header(*header.split(": ", 1))
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def until(call, seconds=60, pause_seconds=0.05):
    end = time.monotonic() + seconds
    while True:
        try:
            return call()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(pause_seconds)


def serve_floor(port, home):
    """The command of the floor, the bare program that every rate is compared with."""
    return [sys.executable, Path(__file__).with_name("floor.py"), port, home / "floor.db"]


def settle(create_url):
    """Return when everything that was created before is over: the queue keeps its order."""
    made = ask(create_url, PROMPT, ("Prefer: wait=25",))
    base = create_url.partition("/v1/")[0]
    until_over(lambda: ask(f"{base}/v1/predictions/{made['id']}"), made)


def until_over(look, made, seconds=60):
    end = time.monotonic() + seconds
    while made["status"] in {"starting", "processing"}:
        if time.monotonic() > end:
            raise TimeoutError(f"a prediction is still {made['status']} after {seconds} s")
        time.sleep(0.05)
        made = look()
