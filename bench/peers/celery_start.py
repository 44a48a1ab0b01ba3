"""Redis, one Celery worker and FastAPI as children of one process: python celery_start.py PORT."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

BIN = Path(sys.executable).parent
WORKER = ["-A", "celery_app:tasks", "worker", "--pool", "prefork", "--concurrency", "1", "--loglevel", "ERROR"]
WORKER += ["--without-gossip", "--without-mingle", "--without-heartbeat"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def main():
    port, redis_port = sys.argv[1], free_port()
    env = {**os.environ, "REDIS_PORT": redis_port}
    here = Path(__file__).parent
    serve = ["celery_app:app", "--port", port, "--loop", "uvloop", "--http", "httptools", "--log-level", "warning"]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory() as folder:
        memory_only = ["--port", redis_port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
        parts = [
            subprocess.Popen(["redis-server", *memory_only], stdout=subprocess.DEVNULL),
            subprocess.Popen([BIN / "celery", *WORKER], env=env, cwd=here),
            subprocess.Popen([BIN / "uvicorn", *serve, "--no-access-log"], env=env, cwd=here),
        ]
        try:
            parts[-1].wait()
        finally:
            for part in reversed(parts):
                part.terminate()
            for part in reversed(parts):
                part.wait()


if __name__ == "__main__":
    main()
