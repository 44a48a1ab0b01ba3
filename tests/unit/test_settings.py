"""One value from five sources: order, units, refusals that name the place."""

from pathlib import Path
from typing import Any

import pytest

from halley.settings import (
    MASK,
    Settings,
    SettingsError,
    parse_bytes,
    parse_period,
    parse_seconds,
    read_settings,
    shown,
    without_secrets,
)
from halley.settings.names import leaves


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path


def read(
    place: Path, environ: dict[str, str] | None = None, config: str | None = None, flags: dict[str, Any] | None = None
) -> Settings:
    path = None
    if config is not None:
        path = place / "given.toml"
        path.write_text(config, encoding="utf-8")
    return read_settings(
        environ or {}, config=path, flags=flags or {}, folder=place, user_file=place / "home" / "halley.toml"
    )


def test_defaults_follow_the_design(place):
    settings = read(place)
    assert (settings.server.host, settings.server.port, settings.demo) == ("127.0.0.1", 1986, True)
    assert settings.limits.json_body_bytes == 32 * 2**20
    assert (settings.limits.wait_create_max_seconds, settings.limits.wait_get_max_seconds) == (55, 60)
    assert (settings.runs.lease_seconds, settings.runs.heartbeat_seconds, settings.runs.max_attempts) == (20, 5, 2)
    assert (settings.retention.api, settings.retention.web) == ("30d", "never")
    assert settings.origins == {}
    assert settings.data.is_absolute()


def test_each_source_beats_the_one_below_it(place):
    (place / "home" / "halley.toml").write_text("[server]\nport = 1\n[limits]\njson_depth = 5\n")
    (place / "halley.toml").write_text('[server]\nport = 2\nhost = "::1"\n')
    low = read(place)
    assert (low.server.port, low.server.host, low.limits.json_depth) == (2, "::1", 5)
    assert read(place, config="[server]\nport = 3\n").server.port == 3
    environ = {"HALLEY_SERVER__PORT": "4"}
    assert read(place, environ, "[server]\nport = 3\n").server.port == 4
    top = read(place, environ, "[server]\nport = 3\n", {"server.port": 5, "server.host": None})
    assert (top.server.port, top.server.host) == (5, "::1")
    assert top.origins["server.port"] == "flag --port"
    assert read(place, flags={"tls.local": True}).origins["tls.local"] == "flag --tls"
    assert top.origins["limits.json_depth"].startswith(str(place / "home"))


def test_units_are_read_in_files_and_variables(place):
    settings = read(
        place,
        {"HALLEY_RUNS__RUN_TIMEOUT_SECONDS": "1h30m", "HALLEY_SERVER__ALLOWED_HOSTS": "a.example, b.example"},
        '[limits]\nupload_bytes = "256MB"\n[memory]\nbudget_bytes = "2GiB"\n',
    )
    assert settings.runs.run_timeout_seconds == 5400
    assert settings.limits.upload_bytes == 256_000_000
    assert settings.memory.budget_bytes == 2 * 2**30
    assert settings.server.allowed_hosts == ("a.example", "b.example")


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30), ("0.5s", 0.5), ("5m", 300), ("1h30m45s", 5445), ("2d", 172_800)]
)
def test_durations(text, seconds):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    ("config", "environ", "found"),
    [
        ('retention = "1h"\n', {}, ("1h", "never")),
        ("retention = 3600\n", {}, ("3600s", "never")),
        ('[retention]\napi = "Never"\nweb = "1 h 30 m"\n', {}, ("never", "1h30m")),
        ('[retention]\nweb = "2d"\n', {"HALLEY_RETENTION": "12h"}, ("12h", "2d")),
        ('retention = "1h"\n', {"HALLEY_RETENTION__API": "90"}, ("90s", "never")),
    ],
)
def test_periods_and_the_short_way_to_say_one(place, config, environ, found):
    retention = read(place, environ, config).retention
    assert (retention.api, retention.web) == found


def test_a_model_may_have_a_period_or_the_general_one(place):
    table = '[models."a/{name}"]\npath = "x"\n{line}\n'
    lines = {"short": 'retention = "1h"', "ever": 'retention = "never"', "plain": ""}
    settings = read(place, config="".join(table.format(name=name, line=line) for name, line in lines.items()))
    assert [settings.models[f"a/{name}"].retention for name in lines] == ["1h", "never", None]


@pytest.mark.parametrize(
    ("text", "seconds"), [("1h", 3600), ("30d", 2_592_000), ("never", None), ("9999999w", 1000 * 365 * 86_400)]
)
def test_periods_have_an_end_that_a_calendar_can_hold(text, seconds):
    assert parse_period(text) == seconds


@pytest.mark.parametrize(("text", "size"), [("1024", 1024), ("1kB", 1000), ("32MiB", 2**25), ("1.5 GB", 1_500_000_000)])
def test_sizes(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "s", "5x", "-3s", "1 2 fortnights", "5 MB", "9" * 60 + "!", "1h" * 60 + "!"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="duration"):
        parse_seconds(text)


def test_models_are_tables_with_paths_beside_their_file(place):
    settings = read(
        place, config='[models."acme/cat.v2"]\npath = "cats"\npreload = true\nmemory_limit_bytes = "256MB"\n'
    )
    model = settings.models["acme/cat.v2"]
    assert (model.path, model.preload, model.memory_limit_bytes) == (place / "cats", True, 256_000_000)
    assert model.run_timeout_seconds is None


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("[server]\nprot = 1\n", ["server.prot", "Did you mean server.port?", "given.toml"]),
        ("[servr]\nport = 1\n", ["servr", "Did you mean server?"]),
        ("server = 1\n", ["server", "is a table: write [server]"]),
        ('[models.upscaler]\npath = "x"\n', ["no model upscaler", 'models."acme/upscaler"']),
        ("[limit]\nupload_bytes = 1\n", ["Did you mean limits?"]),
        ("server = 3\n", ["server", "given.toml"]),
        ('[models."a/b"]\npreload = true\n', ["has no path"]),
        ('[models."a/b"]\npath = "x"\nprelod = true\n', ["models.a/b.prelod", "models.a/b.preload"]),
        ("[server]\nport = 70000\n", ["server.port = 70000", "65535"]),
        ('[server]\nport = "x"\n', ["server.port", "given.toml"]),
        ("[server]\naccess_log = 1\n", ["server.access_log"]),
        ('[server]\npublic_url = "https://h.example/a?b"\n', ["server.public_url", "given.toml", "a plain path"]),
        ('[server]\ncors_origins = ["https://h.example/base"]\n', ["server.cors_origins", "without a path"]),
        ('[server]\npublic_url = "h.example"\n', ["server.public_url", "a scheme and a host"]),
        ('[server]\ncors_origins = ["*", "h.example"]\n', ["server.cors_origins", "'h.example'"]),
        ('[server]\ntrusted_proxies = ["10.0.0.0/8", "proxy"]\n', ["server.trusted_proxies", "'proxy'"]),
        ('[limits]\nidle_seconds = "soon"\n', ["limits.idle_seconds", "30s"]),
        ("[limits]\nidle_seconds = inf\n", ["limits.idle_seconds", "finite"]),
        ("[limits]\nlink_seconds = 1e9\n", ["limits.link_seconds"]),
        ("[runs]\nlease_seconds = 6\n", ["runs.lease_seconds", "heartbeat"]),
        ('[tls]\nkey = "k.pem"\n', ["tls.key", "given.toml", "has no certificate"]),
        ('[tls]\nlocal = true\ncert = "c.pem"\n', ["tls.local", "tls.cert", "exclude each other"]),
        ("data = 3\n", ["data = 3"]),
        ('retention = "soon"\n', ["retention.api = 'soon'", "given.toml, retention", "such as 1h, 30d"]),
        ("[retention]\napi = 0\n", ["retention.api = 0", "longer than 0, or never"]),
        ("[retention]\nweb = true\n", ["retention.web = True", "never"]),
        ('[retention]\napi_seconds = "1h"\n', ["retention.api_seconds", "Did you mean retention.api?"]),
        ("not toml", ["given.toml", "TOML"]),
        pytest.param(f"x = {'[' * 3000}{']' * 3000}", ["given.toml", "nested too deeply"], id="deep"),
        pytest.param(f"x = {'1' * 5000}", ["given.toml", "digits"], id="digits"),
    ],
)
def test_unfit_files_are_refused_by_name(place, config, words):
    with pytest.raises(SettingsError) as refused:
        read(place, config=config)
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"HALLEY_SERVER__PROT": "1"}, ["HALLEY_SERVER__PROT", "Did you mean HALLEY_SERVER__PORT?"]),
        ({"HALLEY_PORT": "1"}, ["HALLEY_PORT", "Did you mean HALLEY_SERVER__PORT?"]),
        ({"HALLEY_SERVER__PORT": "many"}, ["HALLEY_SERVER__PORT", "many"]),
        ({"HALLEY_MODELS": "a/b"}, ["halley.toml"]),
        ({"HALLEY_ADMIN_KEY": "short-secret"}, ["HALLEY_ADMIN_KEY", "32"]),
        ({"HALLEY_ADMIN_KEY_FILE": "/nowhere/key"}, ["HALLEY_ADMIN_KEY_FILE", "/nowhere/key"]),
    ],
)
def test_unfit_variables_are_refused_by_name(place, environ, words):
    with pytest.raises(SettingsError) as refused:
        read(place, environ)
    for word in words:
        assert word in str(refused.value)
    assert "short-secret" not in str(refused.value)


@pytest.mark.parametrize("wrong", ["limits.x", "limit", "route", "model", "servers", "tls", "isolaton", "zzz"])
def test_a_variable_that_a_hint_names_exists(place, wrong):
    with pytest.raises(SettingsError) as refused:
        read(place, {f"HALLEY_{wrong.upper().replace('.', '__')}": "1"})
    _, found, meant = str(refused.value).partition("Did you mean ")
    names = {f"HALLEY_{name.upper().replace('.', '__')}" for name in leaves()}
    assert not found or meant.removesuffix("?") in names


def test_a_missing_config_file_is_an_error(place):
    with pytest.raises(SettingsError, match="does not exist"):
        read_settings({}, config=place / "no.toml", flags={}, folder=place, user_file=place / "none")


def test_secrets_come_from_files_and_are_never_shown(place):
    key = "k" * 40
    (place / "key").write_text(key + "\n")
    settings = read(place, {"HALLEY_ADMIN_KEY_FILE": str(place / "key")})
    assert settings.admin_key == key
    assert read(place, config='admin_key_file = "key"\n').admin_key == key
    rows = {name: (value, origin) for name, value, origin in shown(settings)}
    assert rows["admin_key"] == (MASK, "HALLEY_ADMIN_KEY_FILE")
    assert key not in str(rows)
    assert rows["server.port"] == ("1986", "default")


def test_lists_of_folders_are_shown(place):
    settings = read(place, config='[inputs]\nallow_folders = ["data", "/srv/pictures"]\n')
    rows = {name: value for name, value, _ in shown(settings)}
    assert rows["inputs.allow_folders"] == f'["{place}/data","/srv/pictures"]'


def test_variables_of_the_client_and_of_others_are_not_ours(place):
    assert read(place, {"HALLEY_SERVER": "http://h", "HALLEY_TOKEN": "t", "PATH": "/bin"}).origins == {}


@pytest.mark.parametrize("name", ["SMTP_PASS", "MYSQL_PWD", "NPM_AUTH", "AWS_SECRET_ACCESS_KEY", "SENTRY_DSN"])
def test_a_variable_that_may_hold_a_secret_is_not_passed_on(name: str) -> None:
    assert without_secrets({name: "x", "PWD": "/", "SSH_AUTH_SOCK": "/run/s"}) == {
        "PWD": "/",
        "SSH_AUTH_SOCK": "/run/s",
    }


def test_all_faults_of_single_settings_are_said_at_once_in_plain_words(place):
    (place / "halley.toml").write_text(
        '[server]\nport = "abc"\nprot = 1\n[providers.up]\nkind = "replicate"\nurl = "http://127.0.0.1:1"\n'
        'profile = "x"\n[webhooks]\nhttp = 1\n[routes."a/*"]\nweights = { up = 0 }\n'
    )
    with pytest.raises(SettingsError) as refused:
        read(place)
    file = place / "halley.toml"
    assert str(refused.value).splitlines() == [
        f"server.port = 'abc' ({file}) is not valid: expected a whole number, got text.",
        f"There is no setting server.prot ({file}). Did you mean server.port?",
        f'providers.up.profile = \'x\' ({file}) is not valid: choose one of "replicate", "cometapi", "halley".',
        f"webhooks.http = 1 ({file}) is not valid: expected true or false, got a whole number.",
        f"routes.a/*.weights = {{'up': 0}} ({file}) is not valid: expected a whole number of at least 1.",
    ]
