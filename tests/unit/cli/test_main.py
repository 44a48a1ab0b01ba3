"""The tree of commands, and the table of exit codes."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from halley import __version__, errors
from halley.cli import credentials, failures, tree
from halley.cli.failures import CommandError, ExitCode, exit_code_of, exit_code_of_status
from halley.cli.main import app, run_command
from halley.cli.running import is_local_path
from halley.settings import SettingsError


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("HALLEY_", "REPLICATE_"))]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (failures.UsageProblem("x"), 2),
        (SettingsError("x"), 2),
        (failures.ServerRefused(400, "x"), 2),
        (failures.ServerRefused(413, "x"), 2),
        (failures.ServerRefused(422, "x"), 2),
        (failures.Unreachable("x"), 3),
        (failures.ServerRefused(500, "x"), 3),
        (failures.ServerRefused(401, "x"), 6),
        (failures.ServerRefused(403, "x"), 6),
        (failures.ServerRefused(404, "x"), 7),
        (failures.LinkGone("x"), 7),
        (failures.ServerRefused(402, "x"), 8),
        (failures.ServerRefused(429, "x"), 8),
        (failures.StillRunning("x"), 9),
        (errors.NotFound("x"), 7),
        (errors.QueueFull("x"), 8),
        (errors.Unusable("x"), 2),
        (KeyboardInterrupt(), 130),
        (ValueError("x"), 1),
    ],
)
def test_errors_have_their_exit_codes(error, code):
    assert exit_code_of(error) == code


def test_a_prediction_status_has_its_exit_code():
    codes = [exit_code_of_status(word) for word in ("succeeded", "failed", "canceled", "aborted", "processing")]
    assert codes == [0, 4, 5, 5, 9]


def test_every_error_of_ours_is_expected():
    def leaves(kind):
        return [leaf for child in kind.__subclasses__() for leaf in leaves(child)] or [kind]

    unmapped = {errors.LeaseLost, errors.DutyLost, errors.OutcomeUnknown, errors.FetchFailed}  # never leave the server
    for kind in leaves(errors.HalleyError):
        if issubclass(kind, CommandError) or kind in unmapped or kind.__module__.startswith("halley.egress"):
            continue
        error = kind.__new__(kind)
        assert exit_code_of(error) is not ExitCode.BUG, kind


def test_the_tree_is_the_manuals():
    import typer.main

    command = typer.main.get_command(app)
    tree = {name: sorted(getattr(child, "commands", {})) for name, child in command.commands.items()}
    assert tree == {
        "demo": [], "serve": [], "run": [], "env": [], "init": [], "check": [], "version": [], "help": [], "ps": [],
        "predictions": ["bulk", "cancel", "delete-data", "list", "logs", "rerun", "show", "watch"],
        "models": ["clear-setup", "list", "logs", "schema", "show"],
        "files": ["delete", "download", "list", "upload"],
        "keys": ["create", "current", "list", "revoke", "set"],
        "webhooks": ["deliveries", "listen", "resend", "secret", "verify"],
        "routes": ["list", "test"], "upstreams": ["adopt", "list", "retry", "show", "unknown"],
        "config": ["show", "validate"],
    }  # fmt: skip


def test_help_loads_nothing_heavy():
    heavy = ["rich", "httpx2", "uvicorn", "pydantic", "anyio", "jsonschema_rs", "platformdirs", "halley.app"]
    code = (
        "import sys; from halley.cli.main import run_command; run_command(['--help']);"
        f"print([m for m in {heavy!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "predictions" in done.stdout


def test_wrong_words_are_explained(capsys):
    assert run_command(["predictions", "lst"]) == 2
    assert run_command(["--nope"]) == 2
    said = capsys.readouterr()
    assert "Did you mean 'list'?" in said.err
    assert said.out == ""


def test_version(capsys):
    assert run_command(["version"]) == 0
    assert run_command(["version", "--json"]) == 0
    plain, document = capsys.readouterr().out.splitlines()
    assert plain == f"halley {__version__}"
    assert json.loads(document) == {"version": __version__}


@pytest.mark.parametrize(
    ("lang", "line"),
    [
        ("sh", "export REPLICATE_BASE_URL=http://h"),
        ("dotenv", "REPLICATE_API_TOKEN=t"),
        ("python", 'os.environ["REPLICATE_API_TOKEN"] = "t"'),
        ("js", 'const replicate = new Replicate({ baseUrl: "http://h/v1", auth: "t" });'),
        ("go", '\treplicate.WithBaseURL("http://h/v1"),'),
        ("curl", "curl -H 'Authorization: Bearer t' http://h/v1/predictions"),
    ],
)
def test_env_prints_lines_for_each_language(capsys, lang, line):
    assert run_command(["env", "--lang", lang, "--server", "http://h/v1", "--token", "t"]) == 0
    assert line in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("lang", "lines"),
    [
        ("sh", ["export SSL_CERT_FILE={0}/bundle.pem", "export REQUESTS_CA_BUNDLE={0}/bundle.pem",
                "export NODE_EXTRA_CA_CERTS={0}/ca.pem"]),
        ("dotenv", ["SSL_CERT_FILE={0}/bundle.pem", "NODE_EXTRA_CA_CERTS={0}/ca.pem"]),
        ("python", ['os.environ["SSL_CERT_FILE"] = "{0}/bundle.pem"']),
        ("js", ["// Start the program with NODE_EXTRA_CA_CERTS={0}/ca.pem"]),
        ("go", ["// Start the program with SSL_CERT_FILE={0}/bundle.pem"]),
        ("curl", ["curl --cacert {0}/bundle.pem -H 'Authorization: Bearer t' https://h/v1/predictions"]),
    ],
)  # fmt: skip
def test_env_names_the_authority_of_a_local_certificate(tmp_path, capsys, lang, lines):
    (tmp_path / "bundle.pem").touch()
    credentials.save(credentials.CredentialProfile(server="https://h", token="t", ca=str(tmp_path / "ca.pem")))
    assert run_command(["env", "--lang", lang]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.format(tmp_path) not in said] == []


def test_a_missing_authority_is_named(tmp_path, capsys):
    credentials.save(credentials.CredentialProfile(server="https://h", token="t", ca=str(tmp_path / "ca.pem")))
    assert run_command(["predictions", "list"]) == 2
    assert f"{tmp_path / 'ca.pem'} of this server's profile cannot be read" in capsys.readouterr().err


def test_env_quotes_for_the_shell(capsys):
    run_command(["env", "--server", "http://h", "--token", "ab'$(x)"])
    line = capsys.readouterr().out.splitlines()[1]
    shell = subprocess.run(
        ["sh", "-c", f'{line}; printf %s "$REPLICATE_API_TOKEN"'], capture_output=True, text=True, check=True
    )
    assert shell.stdout == "ab'$(x)"


@pytest.mark.parametrize("token", ["hly_ab cd", "hly_ab\ncd", "ключ"])
def test_a_token_that_can_be_none_is_refused_and_not_shown(capsys, token):
    assert run_command(["env", "--token", token]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert token not in said.err


def test_a_stream_that_was_closed_is_no_error():
    halley = f"{sys.executable} -m halley.cli.main version"
    for redirection in (">&-", "2>&-", ">&- 2>&-"):
        done = subprocess.run(["sh", "-c", f"{halley} {redirection}"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_status_that_does_not_exist_is_refused(capsys):
    assert run_command(["predictions", "list", "--status", "done"]) == 2
    assert "Choose one of starting, processing," in capsys.readouterr().err


def test_init_names_its_folder_as_a_shell_takes_it(capsys):
    assert run_command(["init", "my models/greeter"]) == 0
    assert "halley run './my models/greeter' name=Edmond" in capsys.readouterr().err
    assert run_command(["check", "my models/greeter"]) == 0


def test_config_validate_refuses_what_serve_would_refuse(tmp_path, capsys):
    (tmp_path / "halley.toml").write_text('[models."acme/upscaler"]\npath = "nowhere"\n')
    assert run_command(["config", "validate"]) == 2
    assert "acme/upscaler: " in capsys.readouterr().err


def test_init_begins_a_model_and_overwrites_nothing(tmp_path, capsys):
    assert run_command(["init", "greeter"]) == 0
    assert {path.name for path in (tmp_path / "greeter").iterdir()} == {"run.py", "cog.yaml"}
    compile((tmp_path / "greeter" / "run.py").read_text(), "run.py", "exec")
    (tmp_path / "greeter" / "run.py").write_text("mine")
    assert run_command(["init", "greeter"]) == 2
    assert (tmp_path / "greeter" / "run.py").read_text() == "mine"
    assert "already has run.py" in capsys.readouterr().err
    assert run_command(["init", "no good"]) == 2


def test_config_show_names_origins_and_masks_secrets(tmp_path, monkeypatch, capsys):
    (tmp_path / "halley.toml").write_text("[server]\nport = 4321\n")
    monkeypatch.setenv("HALLEY_ADMIN_KEY", "s" * 40)
    assert run_command(["config", "show", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["server.port"] == {
        "name": "server.port",
        "value": "4321",
        "origin": f"{tmp_path}/halley.toml, server.port",
    }
    assert rows["admin_key"]["value"] == "********"
    assert rows["limits.json_depth"]["origin"] == "default"
    assert run_command(["config", "show", "--changed"]) == 0
    out = capsys.readouterr().out
    assert "s" * 40 not in out
    assert len(out.splitlines()) == 3


def test_config_validate_names_what_is_wrong(tmp_path, capsys):
    assert run_command(["config", "validate"]) == 0
    (tmp_path / "halley.toml").write_text("[server]\nprot = 4321\n")
    assert run_command(["config", "validate"]) == 2
    assert "Did you mean server.port?" in capsys.readouterr().err


def test_an_unexpected_error_is_reported_without_a_traceback(monkeypatch, capsys):
    def broken(*args, **kwargs):
        raise RuntimeError("oh no")

    monkeypatch.setattr("halley.cli.main.app", broken)
    assert run_command(["version"]) == 1
    said = capsys.readouterr().err
    assert "something unexpected: RuntimeError: oh no" in said
    assert "Traceback" not in said
    path = Path(said.rsplit("The details are in ", 1)[1].strip().rstrip("."))
    assert "RuntimeError: oh no" in path.read_text()
    path.unlink()


def test_a_disconnected_reader_is_not_an_error():
    code = "import sys; from halley.cli.main import main; main(['config', 'show'])"
    done = subprocess.run(
        ["sh", "-c", f'{sys.executable} -c "{code}" | head -n 1'], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("SETTING")
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


@pytest.mark.parametrize(
    ("text", "local"),
    [
        (".", True),
        ("./x", True),
        ("../x", True),
        ("/x", True),
        ("~/x", True),
        ("demo/paint", False),
        ("nope.py", False),
    ],
)
def test_what_counts_as_a_path(text, local):
    assert is_local_path(text) is local


def test_the_table_of_commands_says_what_the_commands_say():
    import typer.core
    import typer.main

    root = typer.main.get_command(app)
    built = {name: root.commands[name] for name in tree.ENTRIES}
    context = typer.Context(root, info_name="halley", max_content_width=110)
    plain = typer.core.TyperGroup(commands=built, rich_markup_mode=None)
    shown, expected = (context.make_formatter() for _ in range(2))
    root.format_commands(context, shown)
    plain.format_commands(context, expected)
    assert shown.getvalue() == expected.getvalue()
    for name, entry in tree.ENTRIES.items():
        assert entry.summary == " ".join(built[name].help.partition("\n\n")[0].split())


def test_a_command_loads_only_its_own_module():
    code = (
        "import sys; from halley.cli.main import run_command; run_command(['version']);"
        "print([m for m in sys.modules if m.startswith('halley.cli.commands.')], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "['halley.cli.commands.version']"


def test_help_fits_a_usual_terminal_and_names_values_by_words(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    groups = [name for name, command in tree.Commands().items() if hasattr(command, "commands")]
    for path in [[], *([name] for name in groups)]:
        assert run_command([*path, "--help"]) == 0
        commands = capsys.readouterr().out.partition("\nCommands:\n")[2].splitlines()
        assert commands
        assert [line for line in commands if line.endswith("...")] == []  # a summary that was cut
    names = [[name] for name in tree.ENTRIES if name not in groups]
    names += [[name, one] for name in groups for one in tree.Commands()[name].commands]
    for path in names:
        assert run_command([*path, "--help"]) == 0
        text = capsys.readouterr().out
        assert not re.search(r"<\w|\{\w|\[\[", text), path  # a type of a program, or brackets in brackets
        assert ("Example:" in text) <= (path == ["webhooks", "verify"]), path
