"""The official clients, unmodified, through two and three servers in a row, and polls that reach the upstream."""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from PIL import Image

from e2e.conftest import make_case
from e2e.process import ADMIN_KEY, Halley

CONFIG: Final = """
[server]
access_log = false
[limits]
queued_total = 100000
[providers.back]
kind = "replicate"
profile = "halley"
url = "{url}/v1"
token_env = "BACK_TOKEN"
max_in_flight = {most}
[routes."demo/*"]
providers = ["back"]
"""
MODELS: Final = ("echo", "fail", "noop", "paint", "sleep", "text", "upscale")


@contextmanager
def row_of(count: int, folder: Path, most: int = 20) -> Iterator[list[Halley]]:
    """So many servers, each in front of the one before it; only the first runs models."""
    with ExitStack() as stack:
        servers: list[Halley] = []
        for number in range(count):
            home = folder / f"{count}-{number}"
            home.mkdir()
            if not servers:
                servers.append(stack.enter_context(Halley(home)))
                continue
            config = CONFIG.format(url=servers[-1].url, most=most)
            made = Halley(home, "--no-demo", config=config, environment={"BACK_TOKEN": ADMIN_KEY})
            servers.append(stack.enter_context(made))
        for model in MODELS:
            servers[-1].call("GET", f"/v1/models/demo/{model}")
        yield servers


def clients(front: Halley, folder: Path) -> list[str]:
    """Run the cases of each client; returns what is wrong."""
    picture = folder / "small.png"
    Image.new("RGB", (32, 24), (200, 90, 40)).save(picture)
    wrong = []
    for name in ("py1", "py2", "js"):
        case = make_case(name, front.url, ADMIN_KEY, folder)
        checks: dict[str, Any] = {
            "paint": lambda said: len({file["sha"] for file in said}) == 2,
            "text": lambda said: len(said.split()) > 4,
            "chain": lambda said: said["link"].startswith(front.url),
            "stream": lambda said: len(said["text"].split()) > 4,
            "poll": lambda said: said["status"] == "succeeded",
            "cancel": lambda said: said["after"] == "canceled",
            "failing": lambda said: "asked to fail" in said["error"],
            "bad_input": lambda said: said["status"] == 422,
            "unknown_model": lambda said: said["status"] in {404, 422},
        }
        for word, fits in checks.items():
            began = time.monotonic()
            try:
                said = case(word)
                if not fits(said):
                    wrong.append(f"{name} {word}: {said}")
            except AssertionError as error:
                wrong.append(f"{name} {word}: {str(error)[-400:]}")
            print(f"  {name:4} {word:14} {time.monotonic() - began:5.1f} s")
        if case("upscale", path=str(picture))["size"] < 100:
            wrong.append(f"{name} upscale")
    return wrong


def polls(folder: Path, count: int, seconds: float) -> list[str]:
    """So many predictions that are open at once: how often the upstream is asked for them, and that none is lost."""
    with row_of(2, folder / "polls", most=count) as (back, front):
        body = {"input": {"seconds": seconds}}
        began = time.monotonic()
        made = [front.call("POST", "/v1/models/demo/sleep/predictions", body)[2]["id"] for _ in range(count)]
        print(f"  {count} creates in {time.monotonic() - began:.1f} s")
        wrong = []
        for one in made:
            row = {}
            for _ in range(1200):
                row = front.call("GET", f"/v1/predictions/{one}", headers={"Prefer": "wait=30"})[2]
                if row["status"] in {"succeeded", "failed", "canceled"}:
                    break
            if row.get("status") != "succeeded":
                wrong.append(f"{one}: {row.get('status')} {row.get('error')}")
        ended = time.monotonic() - began
        asked = back.output.read_text().count("GET /v1/predictions/")
        print(f"  all ended after {ended:.1f} s; the upstream was asked {asked} times, {asked / ended:.1f} a second")
        listed, path = 0, "/v1/predictions"
        while path:
            page = back.call("GET", path)[2]
            listed, path = listed + len(page["results"]), page["next"]
        if listed != count:
            wrong.append(f"the upstream has {listed} predictions, not {count}")
        return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--polls", action="store_true", help="only the last part")
    parser.add_argument("--open", type=int, default=100, help="predictions that are open at once")
    options = parser.parse_args()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "polls").mkdir()
        for count in () if options.polls else (2, 3):
            print(f"{count} servers in a row")
            with row_of(count, folder) as servers:
                wrong += [f"{count} servers: {text}" for text in clients(servers[-1], folder)]
        print("predictions that are open at once")
        wrong += polls(folder, options.open, 0.2)
    print("\n".join(wrong) or "nothing is wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
