"""What a gateway adds in front of a service whose predictions succeed at once: python bench/gateway.py --litellm DIR.

In one run: the service alone, Halley, a bare relay with aiohttp, and LiteLLM's proxy. Halley commits four times for
each prediction before it tells the end, the others keep nothing. LiteLLM's nearest equal is a chat completion. The
gateways are on core 0; the service and the load share core 1.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from halley_server import ADMIN_KEY, AUTH, HALLEY, PROMPT, ask, halley_environment, until
from machine import LOAD_CORE, fdatasyncs_per_second, free_port, running, wait_port, wrk
from verdict import spread

HERE = Path(__file__).resolve().parent
CONNECTIONS = (1, 64)
CHAT = {"model": "instant", "messages": [{"role": "user", "content": PROMPT["input"]["prompt"]}]}
PATH = "/v1/models/bench/instant/predictions"


@contextmanager
def service():
    """The service, on the load's core; yields its process and port."""
    port = free_port()
    command = ["taskset", "-c", LOAD_CORE, sys.executable, str(HERE / "instant_upstream.py"), str(port)]
    process = subprocess.Popen(command)
    try:
        wait_port(process, port)
        yield process, port
    finally:
        process.terminate()
        process.wait()


class Gateway:
    """A running gateway and the request that it is measured with."""

    def __init__(self, process, url, body):
        self.process, self.url, self.body = process, url, json.dumps(body)

    def measure(self, connections, seconds):
        headers = (AUTH, "Prefer: wait")
        return wrk(self.process, self.url, connections=connections, seconds=seconds, headers=headers, body=self.body)


@contextmanager
def halley(home, upstream):
    port = free_port()
    home.mkdir()
    config = home / "halley.toml"
    config.write_text(
        f'[providers.instant]\nkind = "replicate"\nprofile = "halley"\nurl = "http://127.0.0.1:{upstream}/v1"\n'
        'token_env = "INSTANT_TOKEN"\nmax_in_flight = 128\n[routes."bench/*"]\nproviders = ["instant"]\n'
    )
    command = [
        *HALLEY,
        "serve",
        "--no-demo",
        "--port",
        str(port),
        "--data",
        str(home / "data"),
        "--config",
        str(config),
    ]
    env = {**halley_environment(home), "INSTANT_TOKEN": "upstream"}
    url = f"http://127.0.0.1:{port}{PATH}"
    with running(
        command, port, env=env, cwd=home, ready=lambda: until(lambda: ask(url, PROMPT, ("Prefer: wait",)))
    ) as process:
        yield Gateway(process, url, PROMPT)


@contextmanager
def relay(litellm, upstream):
    port = free_port()
    command = [litellm / "bin/python", HERE / "peers/aiohttp_relay.py", port, f"http://127.0.0.1:{upstream}", ADMIN_KEY]
    url = f"http://127.0.0.1:{port}{PATH}"
    with running(command, port, ready=lambda: until(lambda: ask(url, PROMPT))) as process:
        yield Gateway(process, url, PROMPT)


@contextmanager
def proxy(litellm, home, upstream):
    port = free_port()
    home.mkdir()
    config = home / "litellm.yaml"
    parts = {"model": "openai/instant", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "upstream"}
    config.write_text(
        json.dumps(
            {
                "model_list": [{"model_name": "instant", "litellm_params": parts}],
                "litellm_settings": {"telemetry": False},
                "general_settings": {"master_key": ADMIN_KEY},
            }
        )
    )
    command = [
        litellm / "bin/litellm",
        "--config",
        config,
        "--host",
        "127.0.0.1",
        "--port",
        port,
        "--telemetry",
        "False",
    ]
    # it asks for no list of prices elsewhere
    env = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR"}
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    with running(command, port, env=env, cwd=home, ready=lambda: until(lambda: ask(url, CHAT))) as process:
        yield Gateway(process, url, CHAT)


def measure(gateways, rounds, seconds):
    """Figures by name and connections, one for each round."""
    figures = {}
    for number in range(rounds):
        for name, gateway in gateways.items():
            for connections in CONNECTIONS:
                gateway.measure(connections, 1)
                measured = gateway.measure(connections, seconds)
                figures.setdefault((name, connections), []).append(measured)
                print(f"round {number + 1} of {rounds}: {name}, {connections}: {measured['rate']:.0f}/s", flush=True)
    return figures


def report(figures):
    print(f"\n{'medians (lowest..highest)':36}{'conns':>6}{'p50 ms':>22}{'good/s':>22}{'/CPU-s':>22}{'refused':>9}")
    for (name, connections), each in figures.items():
        cells = "".join(f"{_shown([one[key] for one in each], key):>22}" for key in ("p50", "rate", "per_cpu"))
        refused = sum(one["refused"] for one in each)
        print(f"{name:36}{connections:>6}{cells}{refused:>9}")
    direct = spread([one["p50"] for one in figures["the service alone", 1]]).median
    for (name, connections), each in figures.items():
        if connections == 1 and name != "the service alone":
            print(f"{name} adds {spread([one['p50'] for one in each]).median - direct:.2f} ms at p50, one client")


def _shown(values, key):
    found, digits = spread(values), 2 if key == "p50" else 0
    return f"{found.median:.{digits}f} ({found.low:.{digits}f}..{found.high:.{digits}f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gateway", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--litellm", type=Path, help="the environment that holds LiteLLM's proxy and aiohttp")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of each stretch")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder, service() as (process, port):
        home = Path(folder)
        print(f"this disk: {fdatasyncs_per_second(home):.0f} fdatasync/s one after the other; {os.cpu_count()} cores")
        with halley(home / "halley", port) as ours:
            gateways = {"the service alone": Gateway(process, f"http://127.0.0.1:{port}{PATH}", PROMPT), "Halley": ours}
            if options.litellm is None or not (options.litellm / "bin/litellm").exists():
                print("LiteLLM and the relay are left out: not installed. Type: scripts/install litellm")
                report(measure(gateways, options.rounds, options.seconds))
                return
            litellm = options.litellm.resolve()
            with relay(litellm, port) as bare, proxy(litellm, home / "litellm", port) as theirs:
                gateways |= {"a bare aiohttp relay": bare, "LiteLLM's proxy (chat completion)": theirs}
                report(measure(gateways, options.rounds, options.seconds))


if __name__ == "__main__":
    main()
