"""Which server, which token: a token follows its own server and no other."""

from pathlib import Path

import pytest

from halley.cli.credentials import CredentialProfile, Credentials
from halley.cli.failures import UsageProblem
from halley.cli.target import LOCAL_SERVER, find_target, normalise, same_origin

HOME = CredentialProfile(server="http://127.0.0.1:1986", token="home-token")
CLOUD = CredentialProfile(server="https://cloud.example/replicate/v1", token="cloud-token")
STORED = Credentials(profiles={"home": HOME, "cloud": CLOUD}, default="home")


def choose(environ=None, credentials=STORED, **options):
    given = {"server": None, "token": None, "profile": None, **options}
    return find_target(**given, environ=environ or {}, credentials=credentials)


@pytest.mark.parametrize(
    ("given", "api"),
    [
        ("http://h", "http://h/v1"),
        ("http://h/", "http://h/v1"),
        ("http://h/v1", "http://h/v1"),
        ("http://h/v1/v1/", "http://h/v1"),
        ("http://h:81/replicate", "http://h:81/replicate/v1"),
        ("http://h/replicate/v1", "http://h/replicate/v1"),
        ("http://h/replicate/v1/v1", "http://h/replicate/v1"),
        ("https://proxy/team/halley/v1", "https://proxy/team/halley/v1"),
        ("localhost:1986", "http://localhost:1986/v1"),
        ("[::1]:1986", "http://[::1]:1986/v1"),
        ("api.cometapi.com/replicate", "https://api.cometapi.com/replicate/v1"),
    ],
)
def test_every_spelling_of_a_base_url_works(given, api):
    assert normalise(given)[1] == api


@pytest.mark.parametrize(
    "given", ["", "ftp://h", "http://", "http://u:p@h", "http://h?x=1", "http://h:99999", "http://h#f"]
)
def test_what_is_no_base_url_is_refused(given):
    with pytest.raises(UsageProblem):
        normalise(given)


def test_an_authority_is_trusted_for_its_own_server_only():
    local = CredentialProfile(server="https://127.0.0.1:1986", token="t", ca="/data/tls/ca.pem")
    stored = Credentials(profiles={"home": HOME, "local": local}, default="home")
    assert choose(credentials=stored).ca is None
    assert choose(credentials=stored, profile="local").ca == Path("/data/tls/ca.pem")
    assert choose(credentials=stored, server="https://127.0.0.1:1986/v1").ca == Path("/data/tls/ca.pem")
    assert choose(credentials=stored, server="https://127.0.0.1:1987").ca is None
    assert choose(credentials=stored, server="https://cloud.example").ca is None


def test_order_of_sources():
    halley = {"HALLEY_SERVER": "http://env", "HALLEY_TOKEN": "env-token"}
    official = {"REPLICATE_BASE_URL": "http://official/v1", "REPLICATE_API_TOKEN": "official-token"}
    nothing = Credentials()

    def seen(*environs, **options):
        target = choose({key: value for environ in environs for key, value in environ.items()}, **options)
        return target.root, target.token

    assert seen(credentials=nothing) == (LOCAL_SERVER, None)
    assert seen() == (HOME.server, "home-token")
    assert seen(official) == ("http://official", "official-token")
    assert seen(official, halley) == ("http://env", "env-token")
    assert seen(official, halley, profile="cloud") == ("https://cloud.example/replicate", "cloud-token")
    assert seen(official, halley, profile="cloud", token="t") == ("https://cloud.example/replicate", "t")
    assert seen(halley, server="http://flag", token="t") == ("http://flag", "t")


def test_stored_and_set_tokens_stay_with_their_servers():
    everything = {
        "HALLEY_SERVER": "http://env",
        "HALLEY_TOKEN": "env-token",
        "REPLICATE_API_TOKEN": "official-token",
    }
    assert choose(everything, server="http://elsewhere").token is None
    assert choose(everything, server="http://127.0.0.1:1987").token is None
    assert choose(everything, server="http://127.0.0.1:1986/v1").token == "home-token"
    assert choose(everything, server="https://cloud.example").token == "cloud-token"
    assert choose(everything, server="http://cloud.example").token is None  # never in the clear
    assert choose(everything, server="https://api.replicate.com/v1").token == "official-token"
    assert choose(server="http://elsewhere", profile="cloud").token is None
    assert choose({"HALLEY_TOKEN": "t"}, server="http://elsewhere").token == "t"  # set for this command, for any server


def test_an_unknown_profile_names_the_known_ones():
    with pytest.raises(UsageProblem) as refused:
        choose(profile="hom")
    assert "cloud, home" in refused.value.hint


def test_origins():
    assert same_origin("https://h/v1", "https://H:443/x")
    assert not same_origin("https://h", "https://h.evil")
    assert not same_origin("http://h:bad", "http://h:bad")
