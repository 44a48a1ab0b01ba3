"""`halley serve --tls`: official clients get file objects of any size, and the command line trusts its own server."""

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
import trustme
from process import ADMIN_KEY, Case, Halley

pytestmark = pytest.mark.e2e
PNG: Final = "89504e47"
DATA_URL_BYTES: Final = 256_000


@pytest.fixture(scope="module")
def halley(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halley]:
    with Halley(tmp_path_factory.mktemp("halley"), "--tls") as server:
        yield server


def command(halley: Halley, *arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A halley command of the same user as the server."""
    return subprocess.run(
        [sys.executable, "-m", "halley.cli.main", *arguments],
        env={"PATH": os.environ["PATH"], "XDG_CONFIG_HOME": str(halley.home / "config"), **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def variables(halley: Halley, folder: Path) -> dict[str, str]:
    """What `halley env` prints."""
    done = command(halley, "env", "--lang", "dotenv", folder=folder, HALLEY_TOKEN=ADMIN_KEY)
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


@pytest.mark.parametrize("name", ["py1", "py2", "js"])
def test_run_gives_file_objects_of_large_files(
    halley: Halley, case_of: Callable[..., Case], tmp_path: Path, name: str
) -> None:
    found = variables(halley, tmp_path)
    assert found["REPLICATE_BASE_URL"] == halley.url
    trust = {key: found[key] for key in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")}
    file = case_of(name, halley.url, trust)("large")
    assert file["magic"] == PNG
    assert file["size"] > DATA_URL_BYTES
    assert file["url"].startswith(f"{halley.url}/d/")


@pytest.mark.parametrize("name", ["py1", "py2", "js"])
def test_streams_and_polls_work(halley: Halley, case_of: Callable[..., Case], tmp_path: Path, name: str) -> None:
    case = case_of(name, halley.url, variables(halley, tmp_path))
    assert case("stream")["text"] == case("text")
    assert case("poll")["status"] == "succeeded"


def test_the_command_line_trusts_its_own_server(halley: Halley, tmp_path: Path) -> None:
    done = command(halley, "run", "demo/paint", "prompt=sea", "-o", "sea.png", folder=tmp_path, HALLEY_TOKEN=ADMIN_KEY)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sea.png").read_bytes()


def test_an_untrusting_client_gets_instructions(halley: Halley, tmp_path: Path) -> None:
    done = command(
        halley,
        *("predictions", "list", "--server", halley.url),
        folder=tmp_path,
        HALLEY_TOKEN=ADMIN_KEY,
        XDG_CONFIG_HOME=str(tmp_path),
    )
    assert done.returncode == 3
    assert "has a certificate that is not trusted" in done.stderr
    assert "SSL_CERT_FILE" in done.stderr


def test_a_plain_http_request_to_a_tls_port_gets_a_hint(halley: Halley, tmp_path: Path) -> None:
    url = halley.url.replace("https:", "http:")
    done = command(halley, "predictions", "list", "--server", url, folder=tmp_path, HALLEY_TOKEN=ADMIN_KEY)
    assert done.returncode == 3
    assert "write https://" in done.stderr


def test_every_name_of_this_machine_is_vouched_for(halley: Halley) -> None:
    context = ssl.create_default_context(cafile=halley.authority)
    for host in ("localhost", "127.0.0.1"):
        # by its address: a bare machine has no file that says where localhost is
        with (
            socket.create_connection(("127.0.0.1", halley.port), 30) as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_trust_outlives_a_restart(tmp_path: Path) -> None:
    first = Halley(tmp_path, "--tls", "--no-demo")
    with first:
        trusted = first.authority.read_bytes()
        assert "update-ca-certificates" in first.log()
    (tmp_path / "halley.toml").write_text("")
    with Halley(tmp_path, "--tls", "--no-demo", port=first.port) as second:
        assert second.authority.read_bytes() == trusted
        assert second.call("GET", "/v1/account")[0] == 200


def test_certificates_of_the_operator_are_used(tmp_path: Path) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("halley.example.com", "127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made.cert_chain_pems[0].write_to_path(cert)
    made.private_key_pem.write_to_path(key)
    server = Halley(tmp_path, "--no-demo", "--tls-cert", str(cert), "--tls-key", str(key))
    server.trusts = ssl.create_default_context()
    authority.configure_trust(server.trusts)
    with server:
        assert server.call("GET", "/v1/account")[0] == 200


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tls-cert", "none.pem"], "none.pem cannot be read"),
        (["--tls-key", "none.pem"], "has no certificate"),
        (["--tls", "--tls-cert", "none.pem"], "exclude each other"),
    ],
)
def test_models_that_cannot_be_served_are_reported_at_the_start(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    server = Halley(tmp_path, "--no-demo", *arguments).start(wait=False)
    assert server.process is not None
    assert server.process.wait(120) == 2
    assert words in server.log()
    assert "Traceback" not in server.log()
