"""The servers of others that run the same no-op, each with a row in the table of bench/run.py."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from math import nan
from pathlib import Path

from halley_server import PROMPT, ask, until
from machine import SERVER_CORE, free_port, running, wrk

HERE = Path(__file__).resolve().parent
CALLED_COG = "cog 0.23.1 called by Python, {}"
COG = "cog 0.23.1, async, 64 slots (not durable)"
LITSERVE = "LitServe 0.2.19 (not durable)"
MOSEC = "mosec 0.9.8 (not durable)"
CELERY = "FastAPI + Celery 5.7.0 + Redis (not durable)"


def bench_cog(table, seconds, peers):
    with _cog(peers, "async") as (process, url):
        _wrk_cog(table, seconds, process, url, COG, (1, 8, 64))
        _call_cog(table, seconds, url, "async")
    with _cog(peers, "sync") as (process, url):
        # one slot: it refuses what comes while it works, so more connections than one would count refusals
        _wrk_cog(table, seconds, process, url, "cog 0.23.1, sync, 1 slot (not durable)", (1,))
        _call_cog(table, seconds, url, "sync")


@contextmanager
def _cog(peers, kind):
    port = free_port()
    env = {
        **os.environ,
        "PORT": str(port),
        "PATH": f"{peers}/bin:{os.environ['PATH']}",
        "COG_PREDICT_TYPE_STUB": "predict.py:Predictor",
        "COG_MAX_CONCURRENCY": "64" if kind == "async" else "1",
    }
    url = f"http://127.0.0.1:{port}/predictions"
    with running(
        [peers / "bin/python", "-m", "cog.server.http", "--host", "127.0.0.1"],
        port,
        env=env,
        cwd=HERE / f"peers/cog_{kind}",
        ready=lambda: until(lambda: ask(url, PROMPT)),
    ) as process:
        yield process, url


def _wrk_cog(table, seconds, process, url, title, all_connections):
    for connections in all_connections:
        result = wrk(process, url, connections=connections, seconds=seconds, body=json.dumps(PROMPT))
        table.row(title, connections, result)


def _call_cog(table, seconds, url, kind):
    """The counterpart of bench_runner: called by a Python process on the same core, which asks again when refused."""
    port = url.split(":")[2].split("/")[0]
    command = [
        "taskset",
        "-c",
        SERVER_CORE,
        sys.executable,
        str(HERE / "coglet.py"),
        port,
        str(seconds),
        "1",
        "8",
        "64",
    ]
    measured = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    for clients, result in measured.items():
        table.row(CALLED_COG.format(kind), int(clients), {**result, "cpu": nan, "per_cpu": nan})


def bench_litserve(table, seconds, peers):
    _wrk_program(table, seconds, LITSERVE, "/predict", [peers / "bin/python", HERE / "peers/litserve_noop.py"], (1, 64))


def bench_mosec(table, seconds, peers):
    _wrk_program(table, seconds, MOSEC, "/inference", [peers / "bin/python", HERE / "peers/mosec_noop.py"], (1, 8, 64))


def bench_celery(table, seconds, peers):
    if shutil.which("redis-server") is None:
        raise OSError("redis-server is missing. Type: sudo apt-get install redis-server")
    starter = [peers / "bin/python", HERE / "peers/celery_start.py"]
    _wrk_program(table, seconds, CELERY, "/predictions", starter, (1, 8, 64))


def _wrk_program(table, seconds, title, path, command, all_connections):
    """A peer whose program takes the port as its argument."""
    port = free_port()
    url = f"http://127.0.0.1:{port}{path}"
    with running([*command, port], port, ready=lambda: until(lambda: ask(url, PROMPT))) as process:
        for connections in all_connections:
            result = wrk(process, url, connections=connections, seconds=seconds, body=json.dumps(PROMPT))
            table.row(title, connections, result)


PEERS = {"cog": bench_cog, "litserve": bench_litserve, "mosec": bench_mosec, "celery": bench_celery}
