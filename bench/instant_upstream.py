"""A service whose predictions succeed at once, as cheap as can be: python instant_upstream.py PORT.

It answers creates and reads of the Replicate HTTP API, and chat completions of the OpenAI API: what stands in front
of it is measured, not this. Each answer has an id of its own.
"""

import asyncio
import sys

import uvloop

OUTPUT = '"moonlit desert"'
PREDICTION = (
    '{"id":"%s","model":"bench/instant","version":"hidden","input":{},"logs":"","output":'
    + OUTPUT
    + ',"data_removed":false,"error":null,"status":"succeeded","created_at":"2026-01-01T00:00:00Z",'
    '"started_at":"2026-01-01T00:00:00Z","completed_at":"2026-01-01T00:00:00Z","urls":{},"metrics":{"predict_time":0.001}}'
)
COMPLETION = (
    '{"id":"%s","object":"chat.completion","created":1767225600,"model":"instant","choices":[{"index":0,"message":'
    '{"role":"assistant","content":'
    + OUTPUT
    + '},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
)
MODEL = '{"owner":"bench","name":"instant","description":null,"latest_version":null}'


class Connection(asyncio.Protocol):
    """One client. It sends one request after the other, with a length."""

    count = 0

    def connection_made(self, transport):
        self.transport, self.data = transport, b""

    def data_received(self, data):
        self.data += data
        while (end := self.data.find(b"\r\n\r\n") + 4) > 3:
            head = self.data[:end].lower()
            _, _, length = head.partition(b"\r\ncontent-length:")
            whole = end + int(length.partition(b"\r\n")[0] or 0)
            if len(self.data) < whole:
                return
            self.data = self.data[whole:]
            self.answer(head)

    def answer(self, head):
        method, path, _ = head.split(b" ", 2)
        if method == b"get":
            status, body = self.found(path.decode().split("?")[0].rstrip("/").split("/"))
        else:
            Connection.count += 1
            shape = COMPLETION if b"completions" in path else PREDICTION
            status, body = "201 Created", shape % f"instant{Connection.count:019}"
        content = body.encode()
        lines = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        self.transport.write(lines.encode() + b"\r\n" + content)
        if b"\r\nconnection: close" in head:
            self.transport.close()

    @staticmethod
    def found(parts):
        if parts[-1].startswith("instant0"):
            return "200 OK", PREDICTION % parts[-1]
        if parts[-2:] == ["bench", "instant"]:
            return "200 OK", MODEL
        return "404 Not Found", '{"detail":"Not found"}'


async def main(port):
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


uvloop.run(main(int(sys.argv[1])))
