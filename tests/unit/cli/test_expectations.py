"""Small things that anybody expects of a command line."""

import io
import json
import os
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from halley import __version__
from halley.cli import credentials
from halley.cli.main import run_command
from halley.cli.screen import Screen
from halley.cli.starting import settings_from, show_banner
from halley.settings import ServerSettings, Settings


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("HALLEY_", "REPLICATE_"))]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("word", ["--version", "-V", "version"])
def test_the_version_is_an_option_too(capsys, word):
    assert run_command([word]) == 0
    assert capsys.readouterr().out == f"halley {__version__}\n"


def test_help_is_a_command_too(capsys):
    assert run_command(["help"]) == 0
    assert "predictions" in capsys.readouterr().out
    assert run_command(["help", "predictions", "list"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Usage: halley predictions list")
    assert "--since" in said
    assert run_command(["help", "nothing"]) == 2
    assert "There is no command 'nothing'" in capsys.readouterr().err


@pytest.mark.parametrize("spelling", ["real", "./real", "other/../real", "link", "real/"])
def test_a_data_folder_has_one_spelling(tmp_path, spelling):
    for name in ("real", "other"):
        Path(name).mkdir()
    Path("link").symlink_to("real")
    settings = settings_from(None, {"data": spelling})
    assert settings.data == (tmp_path / "real").resolve()
    credentials.save(credentials.CredentialProfile(server="http://h", token="t", data=f"{tmp_path}/link"))
    assert credentials.load().for_data(settings.data) is not None


def test_the_banner_names_addresses_that_others_reach(monkeypatch):
    from halley.cli import starting

    monkeypatch.setattr(starting, "own_addresses", lambda: ["192.0.2.7", "2001:db8::7"], raising=False)
    started = SimpleNamespace(url="http://127.0.0.1:1986", key=None, models=[], preparing=[], broken={}, trust=None)
    said = io.StringIO()
    settings = Settings(data=Path("data"), server=ServerSettings(host="0.0.0.0"))
    show_banner(Screen(io.StringIO(), said, {}), settings, started)
    assert "http://192.0.2.7:1986  http://[2001:db8::7]:1986" in said.getvalue()
    said = io.StringIO()
    show_banner(Screen(io.StringIO(), said, {}), Settings(data=Path("data")), started)
    assert "192.0.2.7" not in said.getvalue()


@pytest.mark.parametrize("lang", ["sh", "python", "js", "go", "curl", "dotenv"])
def test_no_token_is_never_given_as_an_empty_one(capsys, lang):
    assert run_command(["env", "--lang", lang, "--server", "http://h"]) == 0
    said = capsys.readouterr()
    assert "No token is known for http://h" in said.err
    for empty in ("TOKEN=\n", "TOKEN=''", '"REPLICATE_API_TOKEN"] = ', 'auth: ""', 'WithToken("")', "Bearer"):
        assert empty not in said.out


def test_a_token_of_another_server_does_not_stay(capsys):
    run_command(["env", "--server", "http://h"])
    shell = f'REPLICATE_API_TOKEN=hosted\n{capsys.readouterr().out}\nprintf "%s" "$REPLICATE_API_TOKEN"'
    assert subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True).stdout == ""


def test_env_sets_both_names_of_the_base_url(capsys):
    for lang in ("sh", "dotenv", "python"):
        assert run_command(["env", "--lang", lang, "--server", "http://h", "--token", "t"]) == 0
        said = capsys.readouterr().out
        assert "REPLICATE_BASE_URL" in said
        assert "REPLICATE_API_BASE_URL" in said


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ('[egress]\nallow = ["nonsense"]\n', "egress.allow: 'nonsense'"),
        ('[tls]\ncert = "missing.pem"\n', "missing.pem cannot be read"),
        ('[tls]\ncert = "file"\n', "no certificate in PEM form"),
        ('[server]\nhost = "no.such.host.invalid"\n', "is not an address to listen on"),
        ('data = "file"\n', "cannot be used"),
        ('data = "file/data"\n', "cannot be used"),
        ('[models."a/b"]\npath = "nowhere"\n', "a/b: "),
        ('[models."a/b"]\npath = "empty"\n', "is it a model?"),
        ('[models."a/b"]\npath = "broken"\n', "nope.py"),
    ],
)
def test_config_validate_finds_what_serve_would_find(capsys, config, said):
    Path("file").write_text("no certificate")
    Path("empty").mkdir()
    Path("broken").mkdir()
    Path("broken/cog.yaml").write_text('predict: "nope.py:Predictor"\n')
    Path("halley.toml").write_text(config)
    assert run_command(["config", "validate"]) == 2
    found = capsys.readouterr().err
    assert said in found
    assert f"`halley serve` would {'start' if 'models' in config else 'not start'}" in found


def test_config_validate_says_that_all_is_well(capsys):
    Path("halley.toml").write_text("[server]\nport = 7\n")
    assert run_command(["config", "validate"]) == 0
    assert capsys.readouterr().err == "Configuration is valid (1 setting changed).\n"


INTERRUPTED_IMPORT = """
import builtins, os, signal, sys
real = builtins.__import__
def interrupted(name, *rest, **more):
    if name == "typer":
        os.kill(os.getpid(), signal.SIGINT)
    return real(name, *rest, **more)
builtins.__import__ = interrupted
sys.argv = ["halley", "demo"]
"""


def test_an_interrupt_while_modules_load_prints_no_traceback():
    script = next(line for line in Path(__file__).parents[3].joinpath("pyproject.toml").read_text().splitlines()
                  if line.startswith("halley = "))  # fmt: skip
    module, _, function = json.loads(script.partition(" = ")[2]).partition(":")
    code = f"{INTERRUPTED_IMPORT}from {module} import {function}\n{function}()\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-2, "")


def test_an_interrupt_of_a_command_is_its_exit_code(monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("halley.cli.main.app", interrupted)
    assert run_command(["demo"]) == 130


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_no_encoding_is_too_small(encoding):
    code = (
        "from halley.cli.screen import Screen; s = Screen();"
        "s.out('caf\\xe9 \\u2713 \\ud800'); s.note('\\u2713 \\ud800'); s.error('\\u2713 \\ud800');"
        "s.out_json({'a': '\\u2713 \\ud800'}); s.table(['\\u2713'], [['\\ud800']])"
    )
    environ = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environ, check=False)
    assert done.returncode == 0, done.stderr
    assert b"\\ud800" in done.stdout


class Pages:
    """A server with many of everything."""

    target = SimpleNamespace(root="http://h")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def pages(self, path):
        now = datetime.now(UTC)
        for number in range(200):
            model = "demo/paint" if number % 2 else "acme/other"
            made = (now - timedelta(minutes=number)).isoformat()
            row = {"id": f"p{number}", "model": model, "status": "succeeded", "created_at": made}
            yield {**row, "owner": "demo", "name": f"m{number}", "urls": {}}

    def predictions(self, query):
        self.asked = query
        return self.pages("/predictions")

    def models(self):
        return self.pages("/models")


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("halley.cli.session.connect", lambda *_: Pages())


@pytest.mark.parametrize("words", [["predictions", "list"], ["models", "list"], ["files", "list"]])
def test_a_list_says_that_there_are_more(many, capsys, words):
    assert run_command([*words, "--limit", "7"]) == 0
    said = capsys.readouterr()
    assert "Only the first 7 are shown; use --limit to show more." in said.err
    assert len(said.out.splitlines()) == 8
    assert run_command([*words, "--limit", "200"]) == 0
    assert "Only the first" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["--model", "demo/paint"], 100),
        (["--model", "acme/*"], 100),
        (["--model", "nobody/x"], 0),
        (["--since", "30m"], 30),
        (["--since", "1h", "--model", "demo/*"], 30),
        (["--since", "2020-01-01"], 200),
        (["--since", "2020-01-01T10:00:00Z", "--status", "failed"], 0),
    ],
)
def test_predictions_are_chosen_by_model_and_age(many, capsys, words, count):
    assert run_command(["predictions", "list", "--limit", "500", "--json", *words]) == 0
    found = len(json.loads(capsys.readouterr().out))
    assert abs(found - count) <= (1 if "30m" in words or "1h" in words else 0)


def test_an_age_that_is_none_is_refused(many, capsys):
    assert run_command(["predictions", "list", "--since", "yesterday-ish"]) == 2
    assert "--since 'yesterday-ish' is not a time" in capsys.readouterr().err


def test_the_place_of_the_first_picture_is_checked_before_the_demo_starts(tmp_path, capsys):
    Path("file").write_text("")
    assert run_command(["demo", "-o", "file/x.png", "--data", str(tmp_path / "data")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_a_server_that_does_not_speak_https_is_called_that(capsys):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"//127.0.0.1:{listening.getsockname()[1]}"
        assert run_command(["predictions", "list", "--server", f"https:{url}", "--token", "x"]) == 3
        thread.join(5)
    said = capsys.readouterr().err
    assert f"https:{url} cannot be used: it does not speak HTTPS." in said
    assert f"Try http:{url}." in said
