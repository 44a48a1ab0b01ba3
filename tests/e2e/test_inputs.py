"""Files as inputs, from everywhere they may come; and no key where none belongs."""

import base64
import io
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image
from process import Halley

pytestmark = pytest.mark.e2e

UPSCALE = "/v1/models/demo/upscale/predictions"


ALBUM = """
from cog import BaseModel, Path

class Album(BaseModel):
    pictures: dict[str, Path]
    title: str

def run(album: Album) -> dict:
    sizes = {name: path.stat().st_size for name, path in album.pictures.items()}
    return {"title": album.title, "sizes": sizes}
"""


def _picture() -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (24, 16), (40, 90, 200)).save(made, "PNG")
    return made.getvalue()


PICTURE = _picture()


class Pictures(BaseHTTPRequestHandler):
    """A foreign host on loopback: /a.png is a picture, /moved leads elsewhere, /inside to a closed port."""

    def do_GET(self) -> None:
        if self.path == "/a.png":
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", str(len(PICTURE)))
            self.end_headers()
            self.wfile.write(PICTURE)
        else:
            self.send_response(302)
            self.send_header("Location", "/a.png" if self.path == "/moved" else "http://127.0.0.1:1/a.png")
            self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pictures)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def halley(tmp_path_factory: pytest.TempPathFactory, host: str) -> Iterator[Halley]:
    home = tmp_path_factory.mktemp("inputs")
    (home / "album.py").write_text(ALBUM)
    config = f'[egress]\nallow = ["{host}"]\n[models."local/album"]\npath = "{home}/album.py"\n'
    with Halley(home, config=config) as server:
        yield server


def upscale(halley: Halley, image: str, key: str | None = None) -> dict[str, object]:
    status, _, done = halley.call(
        "POST", UPSCALE, {"input": {"image": image}}, headers={"Prefer": "wait"}, key=key or halley.key
    )
    assert status == 201, done
    return dict(done)


def upload(halley: Halley, key: str) -> dict[str, dict[str, str]]:
    part = b'--x\r\nContent-Disposition: form-data; name="content"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    status, _, made = halley.call(
        "POST",
        "/v1/files",
        part + PICTURE + b"\r\n--x--\r\n",
        key=key,
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    assert status == 201, made
    return dict(made)


@pytest.mark.parametrize("path", ["/a.png", "/moved"])
def test_a_url_that_the_operator_allows(halley: Halley, host: str, path: str) -> None:
    done = upscale(halley, f"http://{host}{path}")
    assert done["status"] == "succeeded", done["error"]


def test_files_inside_an_object_come_from_everywhere_as_those_at_the_top(halley: Halley, host: str) -> None:
    link = upload(halley, halley.key)["urls"]["get"]
    links = {"far": f"http://{host}/a.png", "uploaded": link, "inline": "data:text/plain,short"}
    given = {"album": {"pictures": links, "title": f"http://{host}/a.png"}}
    status, _, done = halley.call(
        "POST", "/v1/models/local/album/predictions", {"input": given}, headers={"Prefer": "wait"}
    )
    assert (status, done["status"]) == (201, "succeeded"), done
    sizes = {"far": len(PICTURE), "uploaded": len(PICTURE), "inline": 5}
    assert done["output"] == {"title": given["album"]["title"], "sizes": sizes}
    given["album"]["pictures"]["far"] = "http://127.0.0.1:1/a.png"
    status, _, problem = halley.call("POST", "/v1/models/local/album/predictions", {"input": given})
    assert status == 422
    assert [fault["field"] for fault in problem["invalid_fields"]] == ["input.album.pictures.far"]


def test_a_data_url(halley: Halley) -> None:
    assert upscale(halley, "data:image/png;base64," + base64.b64encode(PICTURE).decode())["status"] == "succeeded"


def test_an_uploaded_file_of_the_account_and_of_another(halley: Halley) -> None:
    ada, bob = halley.account("ada"), halley.account("bob")
    link = upload(halley, ada)["urls"]["get"]
    assert upscale(halley, link, ada)["status"] == "succeeded"
    refused = upscale(halley, link, bob)
    assert refused["status"] == "failed"
    assert "input.image" in str(refused["error"])


@pytest.mark.parametrize(
    "image",
    ["http://127.0.0.1:1/a.png", "http://localhost:1/a.png", "http://[::1]:1/a.png", "http://169.254.169.254/latest",
     "http://2130706433:1/", "file:///etc/passwd", "ftp://127.0.0.1/a", "no link at all"],
)  # fmt: skip
def test_what_may_never_be_fetched_is_refused_with_the_inputs_name(halley: Halley, image: str) -> None:
    status, _, problem = halley.call("POST", UPSCALE, {"input": {"image": image}}, headers={"Prefer": "wait"})
    assert status == 422, problem
    assert [fault["field"] for fault in problem["invalid_fields"]] == ["input.image"]


def test_a_redirect_inside_is_checked_again(halley: Halley, host: str) -> None:
    done = upscale(halley, f"http://{host}/inside")
    assert done["status"] == "failed"
    assert "input.image" in str(done["error"])


def test_run_folders_are_empty_when_nothing_runs(halley: Halley) -> None:
    upscale(halley, "data:image/png;base64," + base64.b64encode(PICTURE).decode())
    for _ in range(200):  # it goes just after the answer
        left = list((halley.home / "data" / "runs").iterdir())
        if not left:
            break
        time.sleep(0.02)
    assert left == []


def test_no_key_is_at_rest_or_in_the_log(halley: Halley) -> None:
    issued = halley.account("carol")
    halley.call("GET", "/v1/account", key=issued)
    halley.call("GET", f"/v1/predictions?token={issued}", key="wrong" + issued)
    for path in [*Path(halley.home / "data").rglob("*"), halley.output]:
        if path.is_file():
            content = path.read_bytes()
            assert issued.encode() not in content, path
            assert halley.key.encode() not in content, path
