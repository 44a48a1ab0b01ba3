"""Odd requests to every row of the dashboard of a real server: no 5xx, no traceback, no leak, and no long block."""

import argparse
import json
import random
import re
import socket
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from e2e.process import ADMIN_KEY, Halley
from halley.web.routes import ROWS
from halley.web.rows import Action, OpenPage, Row, UploadAction

MODELS: Final = Path(__file__).resolve().parents[1] / "browser/models"
CONFIG: Final = "".join(
    f'[models."{name}/{name}"]\npath = {json.dumps(str(MODELS / name))}\nenv = "current"\n'
    for name in ("hostile", "wide", "flood")
)
SECRET: Final = "secret-of-the-admin"
BLOCK_MS: Final = 100.0  # of the main thread's processor, for one request
FORM: Final = "application/x-www-form-urlencoded"
SIGN_IN: Final = ("/ui/sign-in", "/ui/sign-out", "")
PARAMETER: Final = re.compile(r"\{(\w+)\}")

WORDS: Final = (
    *("", " ", "0", "1", "-1", "9" * 30, "9" * 5000, "1e400", "nan", "Infinity", "null", "true", "[]", "{}"),
    *("\0", "a\0b", "\u202e\u2066x", "\ud800", "é" * 50, "😀", "%", "%zz", "%00", "+", "&", "=", ";", "#", "\r\nx: y"),
    *("__proto__", "constructor", "toString", "a.b", "a/b", "a[0]", "..", "../..", "/", "//evil.example", "\\\\x"),
    *("javascript:alert(1)", "http://[", "http://[::1", "http://a/b?c=d", "https://x/y.png", "<script>x</script>"),
    *("{{7*7}}", "{%raw%}", "%s%n", "'\"`", "*", "*" * 100, "*a" * 90, "a" * 5000, "[" * 2000, '{"a":' * 100),
    *("2026-01-01", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "24h", "1e9h", "-5s", "9" * 20 + "d", "status:x"),
    *("demo/paint", "hostile/hostile", "wide/wide", "flood/flood", "demo/*", "a/b/c", "x.json", ".json", ".csv"),
    *("failed", "succeeded", "cancel", "rerun", "delete-data", "prediction:x", "clock", "predictions", "output"),
    *("json", "python", "go", "stream", "webhook", "run", "switch", "light", "/ui/../x", "/ui\\x", "//ui/", "/ui?x"),
)
NAMES: Final = (
    *("status", "model", "error", "tag", "since", "created_after", "created_before", "key", "provider", "group", "q"),
    *("cursor", "limit", "include", "tab", "part", "after", "before", "a", "b", "prediction", "action", "from", "grid"),
    *("x", "y", "x_values", "y_values", "input", "example", "version", "view", "client", "way", "next", "code"),
    *("topic", "file", "all", "outcome", "name", "query", "csrf", "once", "hours", "overlap_hours", "retention"),
    *("scopes", "username", "prefix", "newest", "hold", "do", "extra", "share", "everywhere", "upstream_id"),
    *("input.prompt", "json.prompt", "add.prompt", "remove.prompt.0", "choose.prompt", "choice.prompt", "key.a.0"),
    *("input.__proto__", "input.constructor", "file.prompt", "null.prompt", "empty.prompt", "item.a.0", "picture"),
)
HEADERS: Final = (
    *("accept", "accept-language", "x-fragment", "last-event-id", "x-forwarded-host", "x-forwarded-proto", "origin"),
    *("x-forwarded-prefix", "sec-fetch-dest", "sec-fetch-site", "referer", "cookie", "range", "if-none-match"),
    *("prefer", "idempotency-key", "x-csrf-token", "content-encoding", "x-halley-expose-aborted", "user-agent"),
    *("authorization",),
)
HEADER_VALUES: Final = (
    *("", "application/json", "text/html", "text/event-stream", "1", "en," * 3000, "*;q=9", "iframe", "none", "null"),
    *("bytes=0-1", "bytes=" + "0-1," * 500, "halley_note=%ff%00; halley_views=AAAA", "halley_views=W10", "; ; =; a"),
    *("halley_session=x", "halley_theme=<script>", "evil.example", "https", "gzip", "/prefix", "-1", "9" * 17),
)


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


@dataclass
class Line:
    """One connection; it is opened again when the server closes it."""

    port: int
    _file: Any = None
    _socket: socket.socket | None = None

    def ask(self, method: str, target: bytes, headers: list[tuple[str, str]], body: bytes) -> Answer:
        head = b"%b %b HTTP/1.1\r\n" % (method.encode(), target)
        head += b"".join(f"{name}: {value}\r\n".encode("latin-1", "replace") for name, value in headers)
        for attempt in (1, 2):
            try:
                if self._socket is None:
                    self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=30)
                    self._file = self._socket.makefile("rb")
                self._socket.sendall(head + b"content-length: %d\r\n\r\n" % len(body) + body)
                return self._read(has_body=method != "HEAD")
            except TimeoutError:
                self.close()
                return Answer(0, [], b"")
            except (ConnectionError, EOFError):
                self.close()
                if attempt == 2:
                    return Answer(0, [], b"")
        raise AssertionError

    def close(self) -> None:
        if self._socket is not None:
            self._file.close()
            self._socket.close()
            self._socket = None

    def _read(self, *, has_body: bool) -> Answer:
        while True:
            first = self._file.readline()
            if not first:
                raise EOFError
            status = int(first.split()[1])
            headers = []
            while line := self._file.readline().strip():
                name, _, value = line.decode("latin-1").partition(":")
                headers.append((name.lower(), value.strip()))
            if status >= 200:
                break
        known = dict(headers)
        if not has_body:
            return Answer(status, headers, b"")
        if known.get("content-type", "").startswith("text/event-stream"):
            self.close()  # its beginning is enough
            return Answer(status, headers, b"")
        if known.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self._file.readline(), 16):
                body += self._file.read(size)
                self._file.readline()
            self._file.readline()
        else:
            body = self._file.read(int(known.get("content-length", 0)))
        if known.get("connection") == "close":
            self.close()
        return Answer(status, headers, body)


@dataclass
class Reader:
    """A browser of one key; "" is nobody."""

    name: str
    key: str
    line: Line
    cookies: dict[str, str] = field(default_factory=dict)
    token: str = ""

    def ask(self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
        sent = {"host": f"127.0.0.1:{self.line.port}", "accept": "text/html"}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self.line.ask(method, target.encode(), list({**sent, **(headers or {})}.items()), body)
        for name, value in answer.headers:
            if name == "set-cookie":
                one, _, rest = value.partition("=")
                self.cookies[one] = rest.partition(";")[0]
        return answer

    def sign_in(self) -> None:
        if self.key:
            self.cookies.clear()
            body = urlencode({"key": self.key}).encode()
            assert self.ask("POST", "/ui/sign-in", {"content-type": FORM}, body).status == 303
            page = self.ask("GET", "/ui/files").body
            self.token = page.partition(b'name="csrf" value="')[2].partition(b'"')[0].decode()
            assert self.token


@dataclass
class Case:
    """One request."""

    reader: Reader
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def __str__(self) -> str:
        return f"{self.reader.name}: {self.method} {self.target[:300]} {self.headers} {self.body[:300]!r}"


class Maker:
    """Makes cases from a seed."""

    def __init__(self, chance: random.Random, ids: dict[str, list[str]]) -> None:
        self._chance = chance
        self._ids = ids
        self._all = [one for listed in ids.values() for one in listed]

    def case(self, row: Row, reader: Reader) -> Case:
        is_post = isinstance(row, Action | UploadAction) or (isinstance(row, OpenPage) and row.method == "POST")
        target = PARAMETER.sub(lambda found: self._parameter(found[1]), row.pattern) or "/"
        if not is_post and self._chance.random() < 0.3:
            target += ".json"
        if pairs := self._pairs(4):
            target += "?" + self._encoded(pairs)
        headers = {self._one(HEADERS): self._one(HEADER_VALUES) for _ in range(self._chance.choice((0, 0, 0, 1, 2)))}
        if not is_post:
            return Case(reader, self._chance.choice(("GET", "GET", "GET", "HEAD")), target, headers, b"")
        body, kind = self._body()
        headers = {"content-type": kind, **headers}
        if self._chance.random() < 0.9:
            headers["x-csrf-token"] = reader.token
        return Case(reader, "POST", target, headers, body)

    def _one(self, words: Any) -> Any:
        return self._chance.choice(words)

    def _parameter(self, name: str) -> str:
        known = self._ids.get(name)
        if known and self._chance.random() < 0.8:
            return quote(self._one(known), safe="")
        text = self._one([*WORDS, *self._all])
        return quote(text.encode("utf-8", "surrogatepass"), safe=self._one(("", "", "/%\\;:@")))[:3000] or "x"

    def _text(self) -> str:
        if self._chance.random() < 0.25:
            return str(self._one(self._all))
        return "".join(self._one(WORDS) for _ in range(self._chance.choice((1, 1, 1, 2, 3))))

    def _pairs(self, most: int) -> list[tuple[str, str]]:
        names = (*NAMES, *WORDS) if self._chance.random() < 0.2 else NAMES
        return [(self._one(names), self._text()) for _ in range(self._chance.randrange(most + 1))]

    def _encoded(self, pairs: list[tuple[str, str]]) -> str:
        text = "&".join(
            f"{quote(name.encode('utf-8', 'surrogatepass'))}={quote(value.encode('utf-8', 'surrogatepass'))}"
            for name, value in pairs
        )
        return text[:12_000]

    def _body(self) -> tuple[bytes, str]:
        pairs = self._pairs(8) * self._chance.choice((1, 1, 1, 1, 50))
        kind = self._chance.random()
        if kind < 0.6:
            return self._encoded(pairs).encode(), FORM
        if kind < 0.9:
            return self._in_parts(pairs), "multipart/form-data; boundary=b"
        body = self._one((b"", b"\0" * 100, b"--b\r\n", b"a" * 200_000, b"{}"))
        return body, self._one((FORM, "text/plain", "x", ""))

    def _in_parts(self, pairs: list[tuple[str, str]]) -> bytes:
        parts = []
        for name, value in pairs:
            file = f'; filename="{self._one(WORDS)[:50]}"' if self._chance.random() < 0.3 else ""
            head = f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
            parts.append((head + value).encode("utf-8", "surrogatepass"))
        return b"\r\n".join([*parts, b"--b--\r\n"])


def furnish(server: Halley, key: str, secret: str) -> dict[str, list[str]]:
    """Ids of what an account has; its texts contain the secret."""
    ids: dict[str, list[str]] = {name: [] for name in ("prediction_id", "file_id", "delivery_id", "bulk_action_id")}
    inputs: list[tuple[str, Any]] = [
        ("hostile/hostile", {"how": how, "prompt": secret}) for how in ("texts", "fail", "files", "json")
    ]
    inputs += [("flood/flood", {"files": 100}), ("flood/flood", {"text_bytes": 3_000_000}), ("wide/wide", {})]
    inputs += [("flood/flood", {"log_bytes": 2_000_000}), ("demo/echo", {"text": f"\u202e{secret}\x7f</script>"})]
    inputs += [("demo/sleep", {"seconds": 600})]
    for model, given in inputs:
        body = {"input": given, "webhook": "http://127.0.0.1:9/", "tags": [secret, "grid-0123456789abcdef"]}
        status, _, made = server.call("POST", f"/v1/models/{model}/predictions", body, key=key)
        assert status in (201, 202), made
        ids["prediction_id"].append(made["id"])
    head = f'--b\r\nContent-Disposition: form-data; name="content"; filename="{secret}.txt"\r\n\r\n'
    part = f"{head}x\r\n--b--\r\n".encode()
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    ids["file_id"].append(server.call("POST", "/v1/files", part, key=key, headers=kind)[2]["id"])
    bulk = {"action": "cancel", "filter": {"tag": secret, "status": "failed"}}
    ids["bulk_action_id"].append(server.call("POST", "/v1/bulk-actions", bulk, key=key)[2]["id"])
    for _ in range(600):
        _, _, page = server.call("GET", "/v1/predictions?status=starting,processing", key=key)
        if len(page["results"]) <= 1:
            break
        time.sleep(0.1)
    _, _, sent = server.call("GET", "/v1/webhooks/deliveries", key=key)
    ids["delivery_id"] += [one["id"] for one in sent["results"][:3]]
    return ids


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--minutes", type=float, default=15.0, help="it ends then, whatever is left")
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="halley-dashboard-") as home,
        Halley(Path(home), config=CONFIG) as server,
    ):
        return run(server, chosen)


def run(server: Halley, chosen: argparse.Namespace) -> int:
    """Ask, and report; 1 if anything was wrong."""
    end = time.monotonic() + chosen.minutes * 60
    other = server.account("bob")
    read_only = server.call("POST", "/v1/keys", {"username": "bob", "name": "r", "scopes": ["read"]})[2]["token"]
    server.call("POST", "/v1/keys", {"username": "bob", "name": "to be revoked"})
    ids = furnish(server, ADMIN_KEY, SECRET)
    own = furnish(server, other, "text-of-bob")
    ids = {name: [*found, *own[name]] for name, found in ids.items()}
    keys = server.call("GET", "/v1/keys")[2]["results"]
    ids |= {
        "key_id": [one["id"] for one in keys if one["name"] == "to be revoked"],
        **{name: ["demo", "hostile", "wide", "flood"] for name in ("owner", "model_owner")},
        **{name: ["paint", "hostile", "wide", "flood", "text"] for name in ("name", "model_name")},
        "tag": ["grid-0123456789abcdef"],
        "file_index": ["0", "1", "9" * 5000],
    }
    chance = random.Random(chosen.seed)
    make = Maker(chance, ids)
    readers = [
        Reader(name, key, Line(server.port))
        for name, key in (("admin", ADMIN_KEY), ("bob", other), ("reader", read_only), ("nobody", ""))
    ]
    for reader in readers:
        reader.sign_in()
    faults: list[str] = []
    statuses: Counter[int] = Counter()
    slowest: list[tuple[float, str]] = []
    warm_up(readers[0], ids)
    for number in range(chosen.requests):
        if time.monotonic() > end or len(faults) >= 20:
            break
        case = make.case(chance.choice(ROWS), chance.choice(readers))
        began = busy_ms(server)
        answer = case.reader.ask(case.method, case.target, case.headers, case.body)
        took = busy_ms(server) - began
        statuses[answer.status] += 1
        slowest = sorted([*slowest, (took, str(case))], reverse=True)[:5]
        if why := wrong(case, answer, took):
            faults.append(f"{number}: {why}\n    {case}\n    {answer.body[:300]!r}")
            print(faults[-1], flush=True)
        if answer.status in (303, 401) and case.reader.key and case.reader.ask("GET", "/ui/me").status != 200:
            case.reader.sign_in()
    log = server.log()
    for line in re.findall(r".*(?:Traceback|ERROR|Task exception|never retrieved).*", server.output.read_text()):
        faults.append(f"log: {line}")
        print(faults[-1])
    if "Traceback" in log:
        print(log)
    print(f"{sum(statuses.values())} requests: {dict(sorted(statuses.items()))}; the slowest:")
    for took, text in slowest:
        print(f"  {took:.0f} ms {text[:200]}")
    print(f"memory {memory_mib(server)} MiB; {len(faults)} faults")
    return 1 if faults else 0


def warm_up(reader: Reader, ids: dict[str, list[str]]) -> None:
    """The first page of each kind compiles its template."""
    for row in ROWS:
        if not isinstance(row, Action | UploadAction):
            reader.ask("GET", PARAMETER.sub(lambda found: ids.get(found[1], ["x"])[0], row.pattern))


def wrong(case: Case, answer: Answer, took_ms: float) -> str:
    """What must not be; "" if nothing."""
    if answer.status == 0:
        return "no answer"
    if answer.status >= 500:
        return f"answered {answer.status}"
    if took_ms > BLOCK_MS:
        return f"took {took_ms:.0f} ms of the main thread"
    if case.reader.name != "admin" and SECRET.encode() in answer.body and SECRET not in case.target:
        return "shows what is another's" if SECRET.encode() not in case.body else ""
    for name, value in answer.headers:
        if name == "location" and not value.startswith("/ui"):
            return f"leads to {value}"
        if name == "set-cookie" and ("HttpOnly" not in value or "SameSite=Strict" not in value):
            return f"sets {value}"
    kind = dict(answer.headers).get("content-type", "")
    if kind.startswith("text/html") and "content-security-policy" not in dict(answer.headers):
        return "a page without a policy"
    return ""


def busy_ms(server: Halley) -> float:
    """The processor time of the server's main thread so far."""
    assert server.process is not None
    pid = server.process.pid
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e6


def memory_mib(server: Halley) -> int:
    assert server.process is not None
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{server.process.pid}/status").read_text())[0]) // 1024


if __name__ == "__main__":
    sys.exit(main())
