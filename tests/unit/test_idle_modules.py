"""What a server that has started has not loaded: each of these takes memory for as long as the server runs."""

import subprocess
import sys
from pathlib import Path

STARTED = """
import os, signal, sys
from pathlib import Path
from halley.app import ServeOptions, run_server
from halley.settings import read_settings

def announce(started):
    print(*sys.modules)
    os.kill(os.getpid(), signal.SIGTERM)

flags = {"data": sys.argv[1], "server.host": "127.0.0.1", "server.port": 0, "demo": False}
settings = read_settings({}, config=None, flags=flags, folder=Path(sys.argv[1]), user_file=Path("/nonexistent"))
run_server(settings, ServeOptions(environ={}, demo=False), announce=announce)
"""

# by what loads them
LATE = {
    "a page": ["halley.web", "jinja2", "markupsafe"],
    "a provider": ["halley.providers.services", "halley.providers.replicate", "halley.providers.cog"],
    "an http-job provider": ["halley.providers.http_job"],
    "a request to another host": ["httpcore2", "httpx2", "h11", "idna"],
    "a model's file": ["yaml"],
    "an upload": ["python_multipart"],
    "a local certificate": ["trustme", "cryptography"],
    "the command line": ["typer", "click", "rich", "pydantic", "uvicorn.main"],
    "a demo model": ["PIL", "numpy"],
    "the list of GPUs": ["csv"],
    "a warning about a wrong name": ["difflib"],
}


def test_an_idle_server_has_not_loaded_what_it_may_never_need(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTED, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    loaded = set(done.stdout.split())
    assert "halley.app.serving" in loaded, done.stderr
    assert {what: found for what, names in LATE.items() if (found := loaded.intersection(names))} == {}
