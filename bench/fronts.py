"""One server under measurement and the requests that its clients send, as bytes."""

import json

import psutil
from halley_server import AUTH, ask
from machine import family, with_child


class Front:
    """One server and what its waiters send. `memory` are the processes whose memory counts."""

    def __init__(self, name, process, port):
        self.name, self.process, self.port = name, process, port
        self.base = f"http://127.0.0.1:{port}"

    def request(self, method, path, *headers, body=b""):
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", *headers]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def memory_kb(self):
        infos = [with_child(each.memory_full_info) for each in self.servers()]
        return sum(info.pss for info in infos if info is not None) / 1024

    def servers(self):
        return family(self.process)


class HalleyFront(Front):
    def servers(self):
        return [psutil.Process(self.process.pid)]  # the replica is another row

    def create(self, **given):
        return ask(f"{self.base}/v1/models/bench/ticker/predictions", {"input": given})

    def asked(self, prediction_id):
        """Held because it asks to be. A client that polls costs the same, but is held for 20 s only."""
        return [self.request("GET", f"/v1/predictions/{prediction_id}", AUTH, "Prefer: wait=60")]

    def created(self):
        body = json.dumps({"input": {"quiet_seconds": 3000}}).encode()
        return [self.request("POST", "/v1/models/bench/ticker/predictions", AUTH, "Prefer: wait", body=body)]

    def streamed(self, made):
        return [self.request("GET", made["urls"]["stream"].removeprefix(self.base))]
