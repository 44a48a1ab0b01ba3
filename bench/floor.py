"""The floor: a bare program that does what one prediction needs, and nothing else: python bench/floor.py PORT DATABASE.

One event loop, one writer thread, one child process. A create checks the key and the input, and is committed; it runs
in the child, and its end is committed, too; with `Prefer: wait` the answer leaves after that. Rows, events, frames and
answers have the bytes of the server's. But nothing can fail here, be canceled, be limited or go on after a restart.
What it costs is what the machine, Python and SQLite cost; what the server costs beyond it is the server's own.
"""

import asyncio
import hashlib
import secrets
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from functools import lru_cache

import httptools
import jsonschema_rs
import msgspec
import uvloop
from halley_server import AUTH

ACCOUNT, KEY_ID, VERSION = "01m8hmddq3jge9rt4bpm15cv3a", "01m8hmddq4s5eqzf7292ps87np", "b609845a991e7348" * 4
CREATE_PATH = b"/v1/models/demo/noop/predictions"
SCHEMA = {"type": "object", "properties": {"prompt": {"type": "string"}}, "additionalProperties": False}
CACHED = 20_000  # ended predictions whose answers are kept

TABLES = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
PRAGMA cache_size=-65536;
CREATE TABLE predictions(
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, account_id TEXT NOT NULL, key_id TEXT, kind TEXT, status TEXT,
    revision INTEGER, model TEXT, version TEXT, source TEXT, provider TEXT, attempts INTEGER, created_at INTEGER,
    started_at INTEGER, completed_at INTEGER, last_seq INTEGER, metrics BLOB, input BLOB, output BLOB, logs TEXT);
CREATE INDEX predictions_of_account ON predictions(account_id, id);
CREATE TABLE events(number INTEGER PRIMARY KEY, prediction_id TEXT, seq INTEGER, attempt INTEGER, kind TEXT, at INTEGER,
    data BLOB, started_at INTEGER);
CREATE UNIQUE INDEX events_of_prediction ON events(prediction_id, seq);
"""
INSERT = f"""INSERT INTO predictions VALUES(?, ?, '{ACCOUNT}', '{KEY_ID}', 'prediction', 'starting', 1, 'demo/noop',
    '{VERSION}', 'api', 'local', 1, ?, NULL, NULL, 1, NULL, ?, NULL, '')"""
UPDATE = """UPDATE predictions SET status='succeeded', revision=2, started_at=?, completed_at=?, last_seq=4, metrics=?,
    output=? WHERE number=?"""
CREATED_EVENT = "INSERT INTO events VALUES(NULL, ?, 1, 1, 'created', ?, x'6e756c6c', NULL)"
ENDED_EVENTS = "INSERT INTO events VALUES(NULL, ?, 4, 1, 'returned', ?, ?, ?)"  # started, output, finished

HEAD = (
    b"HTTP/1.1 %b\r\ndate: %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nlocation: %b%b\r\n"
    b"preference-applied: wait=55\r\ncache-control: no-store\r\nx-request-id: 01m8hmddq3ac05b3tfnwctz64c-6\r\n\r\n"
)
BODY = (
    b'{"id":"%b","model":"demo/noop","version":"' + VERSION.encode() + b'","input":%b,"logs":"","output":%b,'
    b'"data_removed":false,"error":null,"source":"api","status":"%b","created_at":"%b","started_at":%b,'
    b'"completed_at":%b,"metrics":%b,"urls":{"get":"%b%b","cancel":"%b%b/cancel",'
    b'"web":"%b%b?t=VrcdLAa60HmgVbnggXekjQ","stream":"%b%b-h2sF9fN0zS16a4eSWyoX7w"}}'
)
PREDICT = b'{"t":"predict","id":"%b","attempt":1,"input":%b,"paths":[],"folder":null,"context":{}}'
DONE = b'{"t":"done","id":"%b","status":"succeeded","has_value":true,"value":%b,"predict_time":%.6f}'
FRAME = struct.Struct("<I")


class Create(msgspec.Struct):
    input: msgspec.Raw


class Predict(msgspec.Struct):
    id: str
    input: dict[str, object]


class Done(msgspec.Struct):
    id: str
    value: msgspec.Raw
    predict_time: float


class Prediction:
    __slots__ = (
        "completed_at",
        "connection",
        "created_at",
        "id",
        "input",
        "metrics",
        "number",
        "output",
        "started_at",
        "waits",
    )


def micros():
    return time.time_ns() // 1000


@lru_cache(16)
def second_text(second):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()


def time_text(instant):
    second, fraction = divmod(instant, 1_000_000)
    return b"%b.%06dZ" % (second_text(second), fraction)


def whole_frames(data):
    """The bodies of the frames that are complete, and the rest."""
    found, start, size = [], 0, len(data)
    while size - start >= 4:
        end = start + 4 + FRAME.unpack_from(data, start)[0]
        if end > size:
            break
        found.append(data[start + 4 : end])
        start = end
    return found, data[start:]


class Writer(threading.Thread):
    """Everything that is queued when it is free goes into one transaction; then `committed` gets it in the loop."""

    def __init__(self, path, committed):
        super().__init__(daemon=True)
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.connection.executescript(TABLES)
        self.committed = committed
        self.loop = asyncio.get_running_loop()
        self.created, self.ended = deque(), deque()
        self.wake = threading.Lock()  # taken: nothing new
        self.wake.acquire()
        self.start()

    def submit(self, queue, prediction):
        queue.append(prediction)
        if self.wake.locked():
            self.wake.release()

    def run(self):
        while True:
            self.wake.acquire()
            created = [self.created.popleft() for _ in range(len(self.created))]
            ended = [self.ended.popleft() for _ in range(len(self.ended))]
            if created or ended:
                self.write(created, ended)
                self.loop.call_soon_threadsafe(self.committed, created, ended)

    def write(self, created, ended):
        many = self.connection.executemany
        self.connection.execute("BEGIN IMMEDIATE")
        many(INSERT, [(p.number, p.id, p.created_at, p.input) for p in created])
        many(CREATED_EVENT, [(p.id, p.created_at) for p in created])
        many(UPDATE, [(p.started_at, p.completed_at, p.metrics, p.output, p.number) for p in ended])
        outputs = [b'{"value":%b,"files":[]}' % p.output for p in ended]
        many(ENDED_EVENTS, [(p.id, p.completed_at, out, p.started_at) for p, out in zip(ended, outputs, strict=True)])
        self.connection.execute("COMMIT")


class Child(asyncio.Protocol):
    """The connection to the process that runs the model."""

    def __init__(self, ended):
        self.ended = ended
        self.rest = b""
        self.decode = msgspec.json.Decoder(Done).decode

    def connection_made(self, transport):
        self.transport = transport

    def send(self, predictions):
        frames = []
        for p in predictions:
            body = PREDICT % (p.id.encode(), p.input)
            frames += (FRAME.pack(len(body)), body)
        self.transport.write(b"".join(frames))

    def data_received(self, data):
        frames, self.rest = whole_frames(self.rest + data)
        for frame in frames:
            self.ended(self.decode(frame))


class Floor:
    """What the connections share."""

    def __init__(self, port, path):
        base = f"http://127.0.0.1:{port}".encode()
        self.url, self.web, self.stream = base + b"/v1/predictions/", base + b"/p/", base + b"/v1/streams/"
        self.key = hashlib.sha256(AUTH.partition(": ")[2].encode()).digest()
        self.is_valid = jsonschema_rs.validator_for(SCHEMA).is_valid
        self.decode = msgspec.json.Decoder(Create).decode
        self.running, self.answers, self.count = {}, {}, 0
        self.writer = Writer(path, self.committed)

    async def start(self):
        loop = asyncio.get_running_loop()
        _, self.child = await loop.create_unix_connection(lambda: Child(self.ended), sock=start_child())
        self.tell_date()

    def tell_date(self):
        self.date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()).encode()
        asyncio.get_running_loop().call_later(1, self.tell_date)

    def create(self, body, connection, waits):
        given = self.decode(body).input
        if not self.is_valid(msgspec.json.decode(given)):
            raise ValueError(body)
        self.count += 1
        p = Prediction()
        p.number, p.created_at, p.connection, p.waits = self.count, micros(), connection, waits
        p.id = f"{p.created_at:013x}{secrets.token_hex(6)}0"
        p.input, p.output, p.metrics, p.started_at, p.completed_at = bytes(given), b"null", b"{}", None, None
        self.running[p.id] = p
        self.writer.submit(self.writer.created, p)

    def committed(self, created, ended):
        if created:
            started_at = micros()
            for p in created:
                p.started_at = started_at
                if not p.waits:
                    p.connection.answer(b"201 Created", p.id.encode(), self.shown(p, b"starting"))
            self.child.send(created)
        for p in ended:
            del self.running[p.id]
            body = self.answers[p.id.encode()] = self.shown(p, b"succeeded")
            if len(self.answers) > CACHED:
                del self.answers[next(iter(self.answers))]
            if p.waits:
                p.connection.answer(b"201 Created", p.id.encode(), body)

    def ended(self, done):
        p = self.running[done.id]
        p.output, p.completed_at = bytes(done.value), micros()
        total = (p.completed_at - p.created_at) / 1e6
        p.metrics = b'{"predict_time":%.6f,"total_time":%.6f}' % (done.predict_time, total)
        self.writer.submit(self.writer.ended, p)

    def shown(self, p, status):
        started = completed = b"null"
        if p.completed_at is not None:
            started, completed = b'"%b"' % time_text(p.started_at), b'"%b"' % time_text(p.completed_at)
        i = p.id.encode()
        times = time_text(p.created_at), started, completed
        urls = self.url, i, self.url, i, self.web, i, self.stream, i
        return BODY % (i, p.input, p.output, status, *times, p.metrics, *urls)


class Connection(asyncio.Protocol):
    """One client, one request at a time."""

    floor: Floor
    is_lost = False

    def connection_lost(self, _):
        self.is_lost = True

    def connection_made(self, transport):
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data):
        self.parser.feed_data(data)

    def on_message_begin(self):
        self.key = self.body = b""
        self.waits = False

    def on_url(self, url):
        self.url = url

    def on_header(self, name, value):
        name = name.lower()
        if name == b"authorization":
            self.key = value
        elif name == b"prefer":
            self.waits = True

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        if hashlib.sha256(self.key).digest() != self.floor.key:
            self.answer(b"401 Unauthorized", b"", b"{}")
        elif self.url == CREATE_PATH:
            self.floor.create(self.body, self, self.waits)
        else:
            name = self.url.rpartition(b"/")[2]
            body = self.floor.answers.get(name)
            self.answer(*((b"404 Not Found", b"", b"{}") if body is None else (b"200 OK", name, body)))

    def answer(self, status, name, body):
        if self.is_lost:  # uvloop raises then, and what else was committed would go no further
            return
        self.transport.write(HEAD % (status, self.floor.date, len(body), self.floor.url, name) + body)


def start_child():
    ours, its = socket.socketpair()
    with its:
        subprocess.Popen([sys.executable, __file__, "--child", str(its.fileno())], pass_fds=[its.fileno()])
    return ours


async def serve(port, path):
    Connection.floor = Floor(port, path)
    await Connection.floor.start()
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


def predict(prompt=""):
    return prompt


def run_model(connection):
    """The child process: gives every prompt back, the frames of one read with one write."""
    decode, encode = msgspec.json.Decoder(Predict).decode, msgspec.json.encode
    rest = b""
    while data := connection.recv(2**18):
        frames, rest = whole_frames(rest + data)
        out = []
        for frame in frames:
            asked = decode(frame)
            began = time.perf_counter()
            value = encode(predict(**asked.input))
            body = DONE % (asked.id.encode(), value, time.perf_counter() - began)
            out += (FRAME.pack(len(body)), body)
        connection.sendall(b"".join(out))


if __name__ == "__main__":
    if sys.argv[1] == "--child":
        run_model(socket.socket(fileno=int(sys.argv[2])))
    else:
        uvloop.run(serve(int(sys.argv[1]), sys.argv[2]))
