"""Providers and routes in halley.toml: names with dots and slashes, inner tables, and refusals that name the place."""

from pathlib import Path

import pytest

from halley.settings import Settings, SettingsError, read_settings, shown

PROVIDER = """
[providers.comet]
kind = "replicate"
url = "https://api.example.com/replicate/v1"
token_env = "COMET_KEY"
profile = "cometapi"
"""
COG = """
[providers.cog]
kind = "cog"
urls = ["http://127.0.0.1:5000", "http://127.0.0.1:5001"]
"""
ROUTE = """
[routes."acme/flux-1.1"]
providers = ["local", "comet"]
spill_over_queue = 5
schema = "schemas/flux.json"

[routes."acme/*"]
providers = ["comet"]
model = "black-forest-labs/{name}"
run_timeout_seconds = "2h"
"""


def read(place: Path, config: str, environ: dict[str, str] | None = None) -> Settings:
    path = place / "given.toml"
    path.write_text(config, encoding="utf-8")
    return read_settings(environ or {}, config=path, flags={}, folder=place, user_file=place / "none.toml")


def test_providers_and_routes_are_tables_whose_names_may_have_dots_and_slashes(tmp_path):
    settings = read(tmp_path, PROVIDER + ROUTE)
    comet, exact, pattern = settings.providers["comet"], settings.routes["acme/flux-1.1"], settings.routes["acme/*"]
    assert (comet.kind, comet.url, comet.token_env) == (
        "replicate",
        "https://api.example.com/replicate/v1",
        "COMET_KEY",
    )
    assert (exact.providers, exact.spill_over_queue) == (("local", "comet"), 5)
    assert exact.schema == tmp_path / "schemas" / "flux.json"
    assert (pattern.model, pattern.run_timeout_seconds) == ("black-forest-labs/{name}", 7200.0)


def test_a_route_may_have_weights_instead_of_an_order(tmp_path):
    config = PROVIDER + '[routes."a/b"]\nweights = {local = 1, comet = 3}\nspill_over_unloaded = true\n'
    route = read(tmp_path, config).routes["a/b"]
    assert (route.places, route.weights) == (("local", "comet"), {"local": 1, "comet": 3})


def test_a_cog_provider_has_other_settings_than_a_replicate_one(tmp_path):
    settings = read(tmp_path, PROVIDER + COG)
    assert [url for _, url in settings.providers["cog"].addresses()] == [
        "http://127.0.0.1:5000",
        "http://127.0.0.1:5001",
    ]
    names = {name for name, _, _ in shown(settings)}
    assert {"providers.cog.rerun_lost", "providers.comet.profile"} <= names
    assert not {"providers.cog.profile", "providers.comet.urls"} & names


def test_they_are_shown_with_their_origins_and_without_any_token(tmp_path):
    settings = read(tmp_path, PROVIDER + ROUTE, {"COMET_KEY": "sk-canary"})
    rows = {name: (value, origin) for name, value, origin in shown(settings)}
    assert rows["providers.comet.token_env"] == ('"COMET_KEY"', f"{tmp_path}/given.toml, providers.comet.token_env")
    assert rows["providers.comet.max_in_flight"] == ("20", "default")
    assert rows["routes.acme/flux-1.1.providers"][0] == '["local","comet"]'
    assert "sk-canary" not in repr(rows)
    assert "sk-canary" not in repr(settings)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (PROVIDER.replace("profile", "profil"), ["providers.comet.profil", "Did you mean providers.comet.profile?"]),
        (PROVIDER.replace("cometapi", "comet"), ["providers.comet.profile = 'comet'", "given.toml"]),
        (PROVIDER.replace('kind = "replicate"', 'kind = "fal"'), ["providers.comet.kind = 'fal'", '"replicate"']),
        (PROVIDER.replace('kind = "replicate"', 'kind = "replicat"'), ['Did you mean "replicate"?']),
        (PROVIDER.replace('kind = "replicate"', "kind = 3"), ["providers.comet.kind = 3", "is not valid"]),
        (PROVIDER.replace('url = "https://api.example.com/replicate/v1"', ""), ["[providers.comet]", "has no url"]),
        (PROVIDER.replace('kind = "replicate"', ""), ["[providers.comet]", "has no kind"]),
        (
            COG + 'profile = "cometapi"\n',
            ["providers.cog.profile", "kind 'replicate'", "which providers.cog is not", "urls"],
        ),
        (COG + "concurency = 2\n", ["Did you mean providers.cog.concurrency?"]),
        (COG + 'url = "http://127.0.0.1:5000"\n', ["providers.cog.urls", "exclude each other"]),
        (COG.replace("5001", "5000"), ["providers.cog.urls", "names an address twice"]),
        (COG.replace("5001", "5001?x=secret"), ["providers.cog.urls", "is not the root of an API"]),
        (COG + 'concurrency = "many"\n', ["providers.cog.concurrency = 'many'"]),
        ('[providers.cog]\nkind = "cog"\n', ["providers.cog.kind", "needs the address of a server"]),
        (PROVIDER + 'token_file = "key"\n', ["token_env", "token_file", "exclude each other"]),
        (PROVIDER + 'token = "sk-1"\n', ["providers.comet.token", "Did you mean"]),
        (PROVIDER.replace('/v1"', '/v1?key=1"'), ["providers.comet.url", "is not the root of an API"]),
        (PROVIDER.replace("https://", "https://me:secret@"), ["providers.comet.url", "is not the root of an API"]),
        (PROVIDER.replace("[providers.comet]", "[providers.local]"), ["no provider local", "is reserved"]),
        (PROVIDER.replace("[providers.comet]", '[providers."my comet"]'), ["no provider my comet", "lower-case"]),
        (PROVIDER.replace("[providers.comet]", "[provider.comet]"), ["provider", "Did you mean providers?"]),
        (PROVIDER + "[providers.comet.limits]\nfast = 1\n", ["There is no setting providers.comet.limits"]),
        (ROUTE, ["routes.acme/flux-1.1.providers", "names 'comet'", "The providers are: local"]),
        (PROVIDER + ROUTE.replace('"comet"', '"commet"'), ["'commet'", "Did you mean 'comet'?"]),
        (PROVIDER + '[routes."a/b"]\nproviders = []\n', ["routes.a/b.providers", "is empty"]),
        (PROVIDER + '[routes."a/b"]\nproviders = ["comet", "comet"]\n', ["names a provider twice"]),
        (PROVIDER + '[routes."a/b"]\nproviders = 3\n', ["routes.a/b.providers", "given.toml"]),
        (PROVIDER + '[routes."a/b"]\nmodel = "c/d"\n', ["[routes.a/b]", "has no providers"]),
        (PROVIDER + '[routes."a/b.c"]\n', ["[routes.a/b.c]", "given.toml", "is empty; add providers = [...]"]),
        ("[providers.comet]\n", ["[providers.comet]", "is empty; add kind = ..."]),
        (PROVIDER + '[routes.flux]\nproviders = ["comet"]\n', ["no route flux", '[routes."acme/*"]']),
        (PROVIDER + '[routes."a/b"]\nproviders = ["comet"]\nmodel = "{names}"\n', ["routes.a/b.model", "{owner}"]),
        (
            PROVIDER + '[routes."a/b"]\nproviders = ["comet"]\nspill_over_queue = 2\n',
            ["routes.a/b.spill_over_queue", "needs a route with `local`"],
        ),
        (
            PROVIDER + '[routes."a/b"]\nproviders = ["comet"]\nweights = {comet = 1}\n',
            ["routes.a/b.providers", "weights exclude each other"],
        ),
        (PROVIDER + '[routes."a/b"]\nweights = {}\n', ["routes.a/b.weights", "is empty"]),
        (PROVIDER + '[routes."a/b"]\nweights = {comet = 0}\n', ["routes.a/b.weights", "given.toml"]),
        (PROVIDER + '[routes."a/b"]\nweights = {commet = 1}\n', ["routes.a/b.weights", "Did you mean 'comet'?"]),
        (
            PROVIDER + '[routes."a/b"]\nweights = {comet = 1, local = 1}\nspill_over_queue = 2\n',
            ["routes.a/b.spill_over_queue", "has no use with weights"],
        ),
        ('[models."a/b".inner]\npath = "x"\n', ["models.a/b.inner"]),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(tmp_path, config, words):
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, config)
    for word in words:
        assert word in str(refused.value)
    assert "secret" not in str(refused.value)


def test_they_cannot_be_set_by_variables(tmp_path):
    with pytest.raises(SettingsError, match=r"HALLEY_PROVIDERS__COMET__URL cannot be used"):
        read(tmp_path, "", {"HALLEY_PROVIDERS__COMET__URL": "https://x.example"})
