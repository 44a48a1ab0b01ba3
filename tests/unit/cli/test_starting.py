"""What `serve` and `demo` do around the server itself."""

import io
import os
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from halley.cli import credentials
from halley.cli.failures import UsageProblem
from halley.cli.screen import Screen
from halley.cli.starting import (
    free_port,
    remember,
    remember_or_say,
    require_port,
    running_url,
    settings_from,
    show_banner,
)
from halley.cli.target import find_target
from halley.errors import Unusable
from halley.settings import Settings
from halley.store.folder import hold

NOTHING_GIVEN = {"server": None, "token": None, "profile": None, "environ": {}}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data")


def started(port: int, key: str | None = None, *, ca: Path | None = None):
    trust = None if ca is None else SimpleNamespace(ca=ca, bundle=ca.with_name("bundle.pem"), names=["localhost"])
    scheme = "http" if ca is None else "https"
    return SimpleNamespace(
        url=f"{scheme}://127.0.0.1:{port}", key=key, models=["demo/paint"], preparing=[], broken={}, trust=trust
    )


def test_a_new_key_is_kept_and_follows_its_data_folder_to_another_port(settings):
    assert remember(settings, started(1986, "hly_new")) == "hly_new"
    assert remember(settings, started(1987)) == "hly_new"
    found = credentials.load()
    assert found.profiles["local"] == credentials.CredentialProfile(
        server="http://127.0.0.1:1987", token="hly_new", data=str(settings.data)
    )
    other = Settings(data=settings.data.parent / "other")
    assert remember(other, started(1988)) is None


def test_data_folders_that_take_turns_at_a_port_are_each_used_with_their_own_key(settings):
    other = Settings(data=settings.data.parent / "other")
    remember(settings, started(1986, "hly_first"))
    remember(other, started(1986, "hly_second"))
    assert find_target(**NOTHING_GIVEN, credentials=credentials.load()).token == "hly_second"
    remember(settings, started(1986))
    assert find_target(**NOTHING_GIVEN, credentials=credentials.load()).token == "hly_first"


def test_a_key_of_the_operator_is_not_written_down(settings):
    own = Settings(data=settings.data, admin_key="k" * 32)
    assert remember(own, started(1986)) == "k" * 32
    assert credentials.load().profiles == {}


def test_the_authority_of_a_local_certificate_is_kept_with_or_without_a_key(settings):
    ca = settings.data / "tls" / "ca.pem"
    own = Settings(data=settings.data, admin_key="k" * 32)
    assert remember(own, started(1986, ca=ca)) == "k" * 32
    found = find_target(**NOTHING_GIVEN, credentials=credentials.load())
    assert (found.root, found.ca, found.token) == ("https://127.0.0.1:1986", ca, None)
    remember(settings, started(1986, "hly_new", ca=ca))
    found = find_target(**NOTHING_GIVEN, credentials=credentials.load())
    assert (found.ca, found.token) == (ca, "hly_new")
    remember(settings, started(1986))
    found = find_target(**NOTHING_GIVEN, credentials=credentials.load())
    assert (found.root, found.ca, found.token) == ("http://127.0.0.1:1986", None, "hly_new")


def test_the_banner_says_how_each_client_comes_to_trust_it(settings):
    said = io.StringIO()
    ca = settings.data / "tls" / "ca.pem"
    show_banner(Screen(io.StringIO(), said, {}), settings, started(1986, ca=ca))
    bundle = ca.with_name("bundle.pem")
    for words in (f"SSL_CERT_FILE={bundle}", f"REQUESTS_CA_BUNDLE={bundle}", f"NODE_EXTRA_CA_CERTS={ca}",
                  f"curl --cacert {ca} https://127.0.0.1:1986/healthz", "update-ca-certificates",
                  'eval "$(halley env)"'):  # fmt: skip
        assert words in said.getvalue()


def test_the_banner_names_the_server_where_another_one_is_the_default(settings, tmp_path):
    def said(data, url_port):
        text = io.StringIO()
        one = Settings(data=data)
        remember(one, started(url_port, "hly_new"))
        show_banner(Screen(io.StringIO(), text, {}), one, started(url_port))
        return text.getvalue()

    first = said(settings.data, 1986)
    assert 'eval "$(halley env)"' in first
    assert "-o desert.webp\n" in first
    second = said(tmp_path / "second", 2000)
    assert 'eval "$(halley env --server http://127.0.0.1:2000)"' in second
    assert "-o desert.webp --server http://127.0.0.1:2000\n" in second


def test_a_key_that_could_not_be_kept_is_not_said_to_be_kept(settings, tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "halley").write_text("a file where the folder should be")
    said = io.StringIO()
    screen = Screen(io.StringIO(), said, {})
    assert remember_or_say(screen, settings, started(1986, "hly_new")) == "hly_new"
    assert "[Errno" not in said.getvalue()
    show_banner(screen, settings, started(1986, "hly_new"))
    assert ", kept in" not in said.getvalue()
    assert said.getvalue().count("HALLEY_ADMIN_KEY_FILE") == 2  # how to get a key that somebody knows


def test_the_holder_of_the_data_folder_is_named_until_it_releases_it(settings):
    assert running_url(settings.data) is None
    with hold(settings.data) as folder:
        assert str(os.getpid()) in running_url(settings.data)
        folder.announce("http://127.0.0.1:1986")
        assert running_url(settings.data) == "http://127.0.0.1:1986"
        with pytest.raises(Unusable, match="127"), hold(settings.data):
            pass
    assert running_url(settings.data) is None


def test_a_taken_port_is_stepped_over_or_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port("127.0.0.1", port) > port
        with pytest.raises(UsageProblem, match=f"Port {port}"):
            require_port("127.0.0.1", port)
    assert free_port("127.0.0.1", 0) == 0


def test_flags_come_first(tmp_path, monkeypatch):
    (tmp_path / "other.toml").write_text("[server]\nport = 7\n")
    monkeypatch.setenv("HALLEY_CONFIG", str(tmp_path / "other.toml"))
    assert settings_from(None, {}).server.port == 7
    assert settings_from(None, {"server.port": 8}).server.port == 8


def test_a_link_that_signs_in_is_shown_to_a_terminal_only_and_not_to_other_machines(settings):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    def said(to, code, token="hly_new"):
        one = started(1986)
        one.sign_in_code = code
        show_banner(Screen(io.StringIO(), to, {}), settings, one, token=token)
        return to.getvalue()

    link = "http://127.0.0.1:1986/ui/sign-in?code=hly_new-once"
    assert link in said(Terminal(), lambda key: f"{key}-once")
    assert link not in said(io.StringIO(), lambda key: f"{key}-once")
    for shown in (said(Terminal(), None), said(Terminal(), lambda key: f"{key}-once", token=None)):
        assert "Dashboard   http://127.0.0.1:1986/ui\n" in shown
