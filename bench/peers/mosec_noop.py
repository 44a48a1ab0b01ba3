"""The same no-op behind mosec: python mosec_noop.py PORT."""

import sys
from typing import Any

from mosec import Server, Worker

sys.argv = [sys.argv[0], "--address", "127.0.0.1", "--port", sys.argv[1], "--log-level", "warning"]


class Noop(Worker):
    def forward(self, data: Any) -> Any:
        return {"status": "succeeded", "output": data["input"]["prompt"]}


if __name__ == "__main__":
    server = Server()
    server.append_worker(Noop, num=1)
    server.run()
