"""Models that write wherever they like, in several processes at once, while the server is killed: who got whose bytes?

One server serves the same model under two names, each in two processes. Clients create predictions whose input is their
own mark; at the end each output must carry it, and nothing else may have changed: no version, no file of the model's
folder, no second download, nothing left in the scratch folder.
"""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Literal

from process import Halley

MODELS: Final = Path(__file__).parent / "models_places"
SHAPES: Final = tuple(sorted(path.name for path in MODELS.iterdir() if (path / "cog.yaml").is_file()))
CLIENTS: Final = 6
SETTLE_SECONDS: Final = 180.0
CONFIG: Final = """
isolation = "{isolation}"
[server]
access_log = false
[runs]
lease_seconds = 1.0
heartbeat_seconds = 0.4
max_attempts = 20
"""
MODEL: Final = """
[models."{owner}/{shape}"]
path = "{home}/{owner}/{shape}"
replicas = 2
preload = true
"""
OWNERS: Final = ("one", "two")

ALREADY_GIVEN: Final = "it had published output already"

Way = Literal["isolated", "plain"]


@dataclass
class Row:
    """What came of one shape of model. `faults` must be empty."""

    shape: str
    way: Way
    predictions: int = 0
    kills: int = 0
    not_repeated: int = 0
    downloads: int = 0
    processes: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        told = "; ".join(self.faults)[:300] or "-"
        return (
            f"{self.shape:22} {self.way:9} {self.predictions:11} {self.kills:5} {self.not_repeated:12}"
            f" {self.downloads:9} {self.seconds:7.1f}  {told}"
        )


TITLE: Final = (
    f"{'MODEL':22} {'WAY':9} {'PREDICTIONS':>11} {'KILLS':>5} {'NOT REPEATED':>12} {'DOWNLOADS':>9} {'SECONDS':>7}"
    "  FAULTS"
)


def run_shape(home: Path, shape: str, *, way: Way, predictions: int, kills: int, by_kernel: bool = False) -> Row:
    """Run one shape in an empty folder. `by_kernel`: the plain way because the kernel refuses, not by the setting."""
    home.mkdir(exist_ok=True)
    row, began = Row(shape=shape, way=way), time.monotonic()
    with _weights() as (url, downloads):
        config = CONFIG.format(isolation="auto" if way == "isolated" or by_kernel else "plain")
        absolute = "1" if way == "isolated" else "0"
        for owner in OWNERS:
            _make_model(home / owner / shape, shape, f"  - WEIGHTS_URL={url}\n  - ABSOLUTE={absolute}\n")
            config += MODEL.format(owner=owner, shape=shape, home=home)
        before = _files(home)
        halley = Halley(home, "--no-demo", "--reload", config=config, command=_command(refused=by_kernel))
        Mix(halley, row, home).run(predictions, kills)
        row.downloads = sum(downloads.values())
        twice = {name: count for name, count in downloads.items() if count != len(OWNERS)}
        if twice:  # each name is a version of its own
            row.faults.append(f"downloads for {len(OWNERS)} versions: {twice}")
        if _files(home) != before:
            row.faults.append(f"the model's folder changed: {sorted(set(_files(home)) ^ set(before))}")
    row.seconds = time.monotonic() - began
    return row


class Mix:
    """One server, its clients, and who kills it."""

    def __init__(self, halley: Halley, row: Row, home: Path) -> None:
        self._halley, self._row, self._home = halley, row, home
        self._made: dict[str, str] = {}
        self._lock = threading.Lock()
        self._wanted = 0

    def run(self, predictions: int, kills: int) -> None:
        row, halley = self._row, self._halley
        self._wanted = predictions
        with halley:
            versions = self._versions()
            self._check_way()
            clients = [threading.Thread(target=self._create_all, args=(number,)) for number in range(CLIENTS)]
            for client in clients:
                client.start()
            for number in range(kills):
                self._wait(lambda due=predictions * (number + 1) // (kills + 2): len(self._made) >= due)  # type: ignore[misc]
                halley.kill()
                row.kills += 1
                halley.start()
            for client in clients:
                client.join(SETTLE_SECONDS)
            self._check_all()
            if self._versions() != versions:
                row.faults.append(f"versions changed: {versions} {self._versions()}")
            self._check_scratch()
        if "is loaded anew" in halley.output.read_text() or "reloading" in halley.output.read_text():
            row.faults.append("a model was loaded anew")
        if (self._home / "data" / "scratch").exists():
            row.faults.append("the scratch folder is left")
        row.predictions = len(self._made)

    def _create_all(self, number: int) -> None:
        for count in range(number, self._wanted, CLIENTS):
            mark = f"mark-{number}-{count}-" + "x" * (count % 7)
            path = f"/v1/models/{OWNERS[count % 2]}/{self._row.shape}/predictions"
            headers = {"Idempotency-Key": mark}
            end = time.monotonic() + SETTLE_SECONDS
            while time.monotonic() < end:
                try:
                    status, _, body = self._halley.call("POST", path, {"input": {"prompt": mark}}, headers=headers)
                except OSError:  # it was killed just now
                    status = 0
                if status in {200, 201}:
                    with self._lock:
                        self._made[body["id"]] = mark
                    break
                time.sleep(0.05)

    def _check_all(self) -> None:
        if len(self._made) < self._wanted:
            self._row.faults.append(f"only {len(self._made)} of {self._wanted} were created")
        for made, mark in self._made.items():
            self._wait(lambda made=made: self._get(made)["status"] not in {"starting", "processing"})  # type: ignore[misc]
            found = self._get(made)
            if found["status"] == "failed" and ALREADY_GIVEN in found["error"]:
                self._row.not_repeated += 1  # rightly: it died between its output and its end
                continue
            if found["status"] != "succeeded":
                self._row.faults.append(f"{made} {found['status']}: {found['error']}")
                continue
            for piece in self._contents(found["output"]):
                if piece != mark:
                    self._row.faults.append(f"{made} of {mark} has {piece}")

    def _contents(self, output: Any) -> Iterator[str]:
        if isinstance(output, dict):
            output = list(output.values())
        if isinstance(output, list) and not all(isinstance(item, str) and item.startswith("http") for item in output):
            files = [item for item in output if item.startswith("http")]
            text = "".join(item for item in output if not item.startswith("http"))
            output = [*files, text]
        for item in output if isinstance(output, list) else [output]:
            if item.startswith("http"):
                _, _, content = self._halley.call("GET", item)
                yield content.decode() if isinstance(content, bytes) else json.dumps(content)
            else:
                yield item

    def _check_way(self) -> None:
        def ways() -> list[str]:
            _, _, page = self._halley.call("GET", "/v1/replicas")
            return [replica["isolation"] for replica in page["results"] if replica["isolation"] is not None]

        self._wait(lambda: len(ways()) == 2 * len(OWNERS), fault=lambda: f"processes: {ways()}")
        self._row.processes = len(ways())
        if set(ways()) != {self._row.way}:
            self._row.faults.append(f"replicas are {set(ways())}")

    def _check_scratch(self) -> None:
        scratch = self._home / "data" / "scratch"

        def left() -> list[str]:
            kept = [str(path) for folder in scratch.glob("replica-*/tmp") for path in folder.iterdir()]
            return kept + [str(path) for path in (self._home / "data" / "runs").iterdir()]

        self._wait(lambda: not left(), fault=lambda: f"left behind: {left()[:3]}")

    def _versions(self) -> list[str]:
        found = []
        for owner in OWNERS:
            _, _, model = self._halley.call("GET", f"/v1/models/{owner}/{self._row.shape}")
            assert model["latest_version"] is not None, f"{model}\n{self._halley.log()}"
            found.append(str(model["latest_version"]["id"]))
        return found

    def _get(self, made: str) -> Any:
        return self._halley.call("GET", f"/v1/predictions/{made}")[2]

    def _wait(self, is_so: Callable[[], bool], fault: Callable[[], str] = lambda: "it took too long") -> None:
        end = time.monotonic() + SETTLE_SECONDS
        while not is_so():
            if time.monotonic() > end:
                self._row.faults.append(fault())
                return
            time.sleep(0.02)


def _make_model(folder: Path, shape: str, environment: str) -> None:
    shutil.copytree(MODELS / shape, folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(MODELS / "downloading.py", folder)
    with (folder / "cog.yaml").open("a") as file:
        file.write("environment:\n" + environment)


def _files(home: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(home)): path.read_bytes()
        for owner in OWNERS
        for path in (home / owner).rglob("*")
        if path.is_file()
    }


def _command(*, refused: bool) -> tuple[str, ...]:
    """Of the server; `refused`: without the right to mount, where nobody may make a namespace of users."""
    own = (sys.executable, "-m", "halley.cli.main")
    if not refused:
        return own
    close = (
        "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set -sys_admin --inh-caps -sys_admin"
    )
    return ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", close + ' -- "$@"', "sh", *own)


def kernel_can_refuse() -> bool:
    """Whether `by_kernel` can be tried here."""
    command = [*_command(refused=True)[:-3], sys.executable, "-c", ""]
    try:
        return subprocess.run(command, capture_output=True, timeout=120, check=False).returncode == 0
    except OSError:
        return False


@contextmanager
def _weights() -> Iterator[tuple[str, Counter[str]]]:
    """A server of weight files that counts how often each is fetched."""
    counted: Counter[str] = Counter()

    class Weights(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            counted[self.path] += 1
            content = b"weights" * 100_000
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Weights)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", counted
    finally:
        server.shutdown()
        server.server_close()
