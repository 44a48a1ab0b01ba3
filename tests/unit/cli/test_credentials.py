"""The client's own file of tokens."""

import stat

import pytest

from halley.cli.credentials import CredentialProfile, load, save
from halley.cli.failures import UsageProblem


def test_what_is_saved_is_loaded_and_only_ours_to_read(tmp_path):
    path = tmp_path / "halley" / "credentials.toml"
    profile = CredentialProfile(server="http://127.0.0.1:1986", token='we"ird\\tök\x7fen', data="/data")
    assert save(profile, path=path) == "local"
    found = load(path)
    assert (found.profiles["local"], found.default) == (profile, "local")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["credentials.toml"]


def test_a_server_replaces_its_own_profile_and_no_other(tmp_path):
    path = tmp_path / "c.toml"
    save(CredentialProfile(server="http://a", token="1", data="/one"), path=path)
    assert save(CredentialProfile(server="http://a", token="2", data="/two"), path=path) == "local-2"
    assert save(CredentialProfile(server="http://b", token="3", data="/one"), path=path) == "local"
    assert save(CredentialProfile(server="http://cloud", token="4"), name="cloud", path=path) == "cloud"
    assert save(CredentialProfile(server="http://cloud", token="5"), path=path) == "cloud"
    found = load(path)
    assert {name: profile.token for name, profile in found.profiles.items()} == {
        "local": "3",
        "local-2": "2",
        "cloud": "5",
    }
    assert found.default == "local-2"  # it took the place of the first one at its address


def test_an_open_file_is_closed_when_saved_again(tmp_path):
    path = tmp_path / "c.toml"
    save(CredentialProfile(server="http://a", token="1"), path=path)
    path.chmod(0o644)
    save(CredentialProfile(server="http://a", token="2"), path=path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["no toml", "default = 3", "[profiles.x]\nserver = 1"])
def test_an_unreadable_file_is_named(tmp_path, text):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(UsageProblem, match=r"c\.toml"):
        load(path)


def test_an_absent_file_holds_nothing(tmp_path):
    assert load(tmp_path / "none.toml").profiles == {}


def test_a_profile_has_a_plain_name(tmp_path):
    with pytest.raises(UsageProblem):
        save(CredentialProfile(server="http://a", token="1"), name="a.b]", path=tmp_path / "c.toml")
